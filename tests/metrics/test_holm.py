from math import isnan, nan

import numpy as np
import pytest

from delineate.metrics.holm import holm


def test_each_p_is_multiplied_by_the_tests_that_are_left():
    # Sorted 0.01, 0.02, 0.03, 0.04: times 4, 3, 2, 1, never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))


def test_a_corrected_value_is_at_most_one():
    assert holm([0.6, 0.7]) == (1.0, 1.0)


def test_what_was_not_tested_does_not_count():
    found = holm([nan, 0.03, 0.01])
    assert isnan(found[0])
    assert found[1:] == pytest.approx((0.03, 0.02))


def test_one_test_alone_stays_as_it_is():
    assert holm([0.03]) == (0.03,)
    assert holm([]) == ()


def test_among_true_nulls_a_false_alarm_is_as_rare_as_promised():
    families = np.random.default_rng(0).random((4000, 5))
    alarms = np.mean([min(holm(family)) < 0.05 for family in families])
    # 1 - (1 - 0.05 / 5)^5 = 0.049; four standard errors are 0.0137.
    assert alarms == pytest.approx(0.049, abs=0.0137)
