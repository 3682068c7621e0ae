import math

import numpy as np
import pytest

from delineate.metrics.average_precision import average_precision


def by_hand(scores: list[float], present: list[bool]) -> float:
    """Recall gained at each distinct threshold times the precision there."""
    area, before = 0.0, 0.0
    for cut in sorted(set(scores), reverse=True):
        chosen = [p for s, p in zip(scores, present, strict=True) if s >= cut]
        recall = sum(chosen) / sum(present)
        area += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return area


def test_it_is_the_sum_over_thresholds_ties_included():
    rng = np.random.default_rng(0)
    for _ in range(50):
        number = int(rng.integers(1, 12))
        scores, present = rng.integers(0, 5, number) / 4, rng.random(number) < 0.5
        present[rng.integers(number)] = True
        expected = by_hand(scores.tolist(), present.tolist())
        assert average_precision(scores, present) == pytest.approx(expected)


def test_a_perfect_order_has_one_and_the_reverse_the_least():
    assert average_precision([0.9, 0.8, 0.1], np.array([1, 1, 0])) == 1
    assert average_precision([0.9, 0.8, 0.1], np.array([0, 0, 1])) == pytest.approx(1 / 3)


def test_equal_scores_have_the_share_of_positives():
    assert average_precision([0.5] * 4, np.array([1, 0, 0, 0])) == 0.25


def test_without_a_positive_case_or_with_an_unknown_score_there_is_no_value():
    assert math.isnan(average_precision([0.1, 0.2], np.array([0, 0])))
    assert math.isnan(average_precision([], np.array([], bool)))
    assert math.isnan(average_precision([math.nan, 0.2], np.array([1, 0])))
