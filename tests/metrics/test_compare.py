from math import isnan

import numpy as np
import pytest
from scipy.stats import permutation_test

from delineate.errors import DataError
from delineate.metrics import Row, Table, compare


def table(**dice: float) -> Table:
    return Table(tuple(Row(case=c, label="lesion", values={"dice": v}) for c, v in dice.items()))


def test_cases_are_paired_by_name_whatever_their_order():
    found = compare(table(a=0.9, b=0.5, c=0.7), table(c=0.6, b=0.5, a=0.7, d=0.1))
    assert found.cases == 3
    assert found.better == 2
    assert found.mean == pytest.approx((0.2 + 0.0 + 0.1) / 3)
    assert found.first == pytest.approx(0.7)
    assert found.second == pytest.approx(0.6)


def test_the_p_value_is_that_of_the_permutation_test_of_paired_samples():
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(0.55, 0.1, 9), rng.normal(0.5, 0.1, 9)
    names = [f"case_{i}" for i in range(9)]
    found = compare(
        table(**dict(zip(names, ours, strict=True))), table(**dict(zip(names, theirs, strict=True)))
    )
    exact = permutation_test(
        (ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=10_000
    )
    assert found.p == pytest.approx(exact.pvalue, abs=0.02)


def test_the_interval_of_a_constant_difference_is_that_difference():
    found = compare(table(a=0.9, b=0.8, c=0.4), table(a=0.8, b=0.7, c=0.3))
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_a_case_without_a_value_on_one_side_is_left_out():
    found = compare(table(a=0.9, b=float("nan")), table(a=0.8, b=0.7))
    assert found.cases == 1
    assert isnan(found.p)


def test_tables_without_a_common_case_are_refused():
    with pytest.raises(DataError, match="share no case"):
        compare(table(a=1.0), table(b=1.0))


def test_tables_of_other_classes_are_refused():
    other = Table((Row(case="a", label="cord", values={"dice": 1.0}),))
    with pytest.raises(DataError, match="the classes lesion, the other cord"):
        compare(table(a=1.0), other)


def test_a_metric_that_a_table_does_not_have_is_named():
    with pytest.raises(DataError, match="no metric 'nsd' in a table that has dice"):
        compare(table(a=1.0), table(a=1.0), "nsd")
