"""How often the 95 % interval holds the true mean, by simulation, beside other intervals."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from delineate.metrics import bootstrap, mean_intervals
from delineate.metrics.bootstrap import case_draws

SETS = 1000
"""Simulated data sets for each number of cases; one standard error of a share near 0.95: 0.007."""
DRAWS = 2000
"""Of each; more make the interval smoother, not wider."""


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", DRAWS)


def dice_like(cases: int) -> tuple[np.ndarray, float]:
    """Many good cases and a tail of bad ones: beta(4, 1), skewness -1.05."""
    return np.random.default_rng(cases).beta(4, 1, (cases, SETS)), 0.8


def with_failures(cases: int) -> tuple[np.ndarray, float]:
    """Good cases, beta(12, 2), but in one of ten nothing is found: Dice 0."""
    rng = np.random.default_rng(100 + cases)
    values = rng.beta(12, 2, (cases, SETS))
    return np.where(rng.random(values.shape) < 0.1, 0.0, values), 0.9 * 12 / 14


def perfect_or_not(cases: int) -> tuple[np.ndarray, float]:
    """Found or missed: 1 in four cases of five, else 0."""
    found = np.random.default_rng(200 + cases).random((cases, SETS)) < 0.8
    return found.astype(float), 0.8


def coverage(limits: np.ndarray, mean: float) -> float:
    return float(((limits[:, 0] <= mean) & (mean <= limits[:, 1])).mean())


def means_drawn(values: np.ndarray) -> np.ndarray:
    counts = np.concatenate(list(case_draws(len(values), draws=DRAWS, seed=0)))
    return counts @ values / len(values)


def percentile(values: np.ndarray) -> np.ndarray:
    return np.quantile(means_drawn(values), (0.025, 0.975), axis=0).T


def bca(values: np.ndarray) -> np.ndarray:
    """Efron's bias-corrected and accelerated interval."""
    drawn = np.sort(means_drawn(values), axis=0)
    mean = values.mean(0)
    bias = ndtri((drawn < mean).mean(0) + (drawn == mean).mean(0) / 2)
    apart = values - mean
    speed = -(-(apart**3)).sum(0) / (6 * (apart**2).sum(0) ** 1.5)
    limits = []
    for tail in (0.025, 0.975):
        z = bias + ndtri(tail)
        place = (len(drawn) * ndtr(bias + z / (1 - speed * z))).astype(int)
        limits.append(drawn[place.clip(0, len(drawn) - 1), np.arange(len(mean))])
    return np.stack(limits, axis=1)


@pytest.mark.parametrize("cases", [4, 5, 10, 20, 50])
def test_the_interval_holds_the_true_mean_in_95_of_100_data_sets(cases: int):
    values, mean = dice_like(cases)
    # The percentile interval lies below this band up to 20 cases.
    assert 0.935 < coverage(mean_intervals(values, bounds=(0, 1)), mean) < 0.98


@pytest.mark.parametrize("cases", [2, 3])
def test_with_two_or_three_cases_it_holds_it_nearly_as_often(cases: int):
    values, mean = dice_like(cases)
    assert 0.88 < coverage(mean_intervals(values, bounds=(0, 1)), mean) < 0.97


@pytest.mark.parametrize("cases", [5, 10])
def test_percentile_and_bca_intervals_hold_it_less_often(cases: int):
    values, mean = dice_like(cases)
    assert coverage(percentile(values), mean) < 0.91
    assert coverage(bca(values), mean) < 0.92


@pytest.mark.parametrize("cases", [20, 50])
def test_many_equal_cases_do_not_make_it_narrow(cases: int):
    values, mean = perfect_or_not(cases)
    assert 0.9 < coverage(mean_intervals(values, bounds=(0, 1)), mean) < 0.98


def test_of_rare_failures_ten_cases_know_too_little_and_fifty_enough():
    found = {}
    for cases in (10, 50):
        values, mean = with_failures(cases)
        found[cases] = coverage(mean_intervals(values, bounds=(0, 1)), mean)
    # 35 % of the data sets of ten cases hold no failure: no interval can know of it.
    assert found[10] < 0.9
    assert found[50] > 0.94
