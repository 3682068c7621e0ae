from math import inf, isnan, nan

import numpy as np
import pytest
from scipy import stats

from delineate.metrics import bootstrap, mean_interval, mean_intervals
from delineate.metrics.bootstrap import case_draws


def brute_force(values: np.ndarray, seed: int) -> tuple[float, float]:
    """The studentised interval, one draw at a time, and Student's where that is wider."""
    rng = np.random.default_rng(seed)
    number = len(values)
    error = stats.sem(values)
    distances = []
    for picks in rng.integers(0, number, (bootstrap.RESAMPLES, number)):
        drawn = values[picks]
        if np.ptp(drawn):
            distances.append((drawn.mean() - values.mean()) / stats.sem(drawn))
    low, high = np.quantile(distances, (0.025, 0.975))
    student = stats.t.ppf(0.975, number - 1)
    return (
        values.mean() - max(high, student) * error,
        values.mean() - min(low, -student) * error,
    )


@pytest.mark.parametrize("cases", [4, 8])
def test_the_interval_is_that_of_a_loop_over_the_draws(monkeypatch: pytest.MonkeyPatch, cases: int):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    values = np.random.default_rng(0).beta(5, 1, cases)
    assert mean_interval(values, seed=3) == pytest.approx(brute_force(values, 3), abs=1e-9)


def test_columns_at_once_have_the_intervals_of_each_alone():
    values = np.random.default_rng(1).beta(5, 1, (12, 5))
    values[3, 1] = values[7, 3] = values[3, 3] = nan
    values[:, 4] = 0.3
    found = mean_intervals(values, seed=2)
    alone = [mean_interval(column, seed=2) for column in values.T]
    np.testing.assert_allclose(found, alone, rtol=1e-9)
    np.testing.assert_allclose(found[4], 0.3)


def test_with_many_cases_and_little_skew_it_is_the_bca_interval_of_scipy():
    values = np.random.default_rng(2).beta(6, 3, 200)
    low, high = mean_interval(values)
    bca = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    assert (low, high) == pytest.approx((bca.low, bca.high), abs=0.05 * (high - low))


def test_a_tail_of_bad_cases_makes_the_interval_reach_further_down():
    values = 1 - np.random.default_rng(3).exponential(0.1, 30)
    low, high = mean_interval(values)
    assert values.mean() - low > 1.15 * (high - values.mean())


def test_two_or_three_cases_have_students_interval():
    for values in ([0.5, 0.7], [0.5, 0.7, 0.8]):
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert mean_interval(values) == pytest.approx(expected)


def test_the_interval_stays_within_what_is_possible():
    values = [0.99, 0.97, 0.5, 1.0, 0.98]
    low, high = mean_interval(values, bounds=(0, 1))
    assert 0 <= low < 0.9
    assert high <= 1
    # Dice in per cent is not in 0 to 1: no bound may exclude the values themselves.
    low, high = mean_interval([100 * v for v in values], bounds=(0, 1))
    assert low < 88.8 < high
    assert high <= 100


def test_equal_cases_have_no_spread_and_no_width():
    assert mean_interval([0.1] * 7) == (0.1, 0.1)
    assert mean_interval([1.0, 1.0, 1.0], bounds=(0, 1)) == (1, 1)


def test_one_failure_among_equal_cases_is_not_taken_for_certain():
    values = [1.0] * 9 + [0.0]
    low, high = mean_interval(values, bounds=(0, 1))
    # Nearly all draws that have a spread lie below the mean: alone they would end at 0.9.
    assert low <= stats.t.interval(0.95, 9, 0.9, stats.sem(values))[0] + 1e-12
    assert high == 1


def test_no_case_one_case_or_an_infinite_one_give_no_interval():
    for values in ([], [0.5], [nan, 0.5], [0.1, 0.2, inf, 0.3, 0.2, 0.1]):
        assert all(map(isnan, mean_interval(values)))
    assert mean_intervals(np.empty((0, 3))).shape == (3, 2)


def test_an_interval_moves_and_stretches_with_its_values():
    values = np.random.default_rng(4).beta(5, 1, 15)
    moved = mean_interval(1e6 + 10 * values)
    assert moved == pytest.approx(1e6 + 10 * np.array(mean_interval(values)), abs=1e-6)


def test_a_draw_has_as_many_cases_as_there_are():
    blocks = list(case_draws(300, draws=5000, seed=0))
    counts = np.concatenate(blocks)
    assert counts.shape == (5000, 300)
    assert (counts.sum(1) == 300).all()
    assert counts.mean(0) == pytest.approx(np.ones(300), abs=0.06)
