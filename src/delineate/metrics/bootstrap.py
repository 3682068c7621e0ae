"""How far a mean over cases may be trusted: a seeded bootstrap over the cases.

The interval is the studentised one (bootstrap-t; Efron and Tibshirani 1993, chapter 12; Hall 1988):

    mean - t_high * s / sqrt(n)   to   mean - t_low * s / sqrt(n)

where t_low and t_high are quantiles of (mean* - mean) / (s* / sqrt(n)) over cases drawn anew with
repetition. Each draw is measured by its own spread s*, so the interval widens where cases are few
and follows their skew. Of skewed, Dice-like values (beta(4, 1)) it holds the true mean in 96 % of
data sets of 5 to 50 cases; the percentile interval does in 82 % of those of 5 and 88 % of those of
10, the BCa interval in 83 % and 89 %: `tests/metrics/test_coverage.py`.

How we differ: on neither side does it stay within Student's interval. Where most cases are equal,
as with many perfect scores, many draws have no spread; they are left out, and the others alone make
the interval much too narrow. Below four cases, too few draws differ, and it is Student's.
"""

from collections.abc import Iterator, Sequence
from math import inf, nan

import numpy as np

__all__ = ["case_draws", "mean_interval", "mean_intervals"]

RESAMPLES = 10_000
FEWEST = 4
"""Cases from which on the draws are different enough."""
CHUNK = 1 << 16
"""Few enough draws at once to stay in the processor's cache."""
COLUMNS = 128
"""Figures that are worked on at once, to bound the memory."""
NO_SPREAD = 1e-12
"""A draw whose variance is this much smaller than that of all cases has none but rounding."""


def mean_interval(
    values: Sequence[float] | np.ndarray,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
    seed: int = 0,
) -> tuple[float, float]:
    """Where the mean lies if other cases had been drawn; NaN entries are left out.

    Fewer than two values, or an infinite one, give NaN; equal values give that value twice, which
    says only that the cases show no spread.

    Args:
        bounds: What a value can be at all; the interval does not leave it.
    """
    column = np.asarray(values, np.float64).reshape(-1, 1)
    low, high = mean_intervals(column, level=level, bounds=bounds, seed=seed)[0]
    return float(low), float(high)


def mean_intervals(
    values: np.ndarray,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] = (-inf, inf),
    seed: int = 0,
) -> np.ndarray:
    """(figures, 2): the interval of the mean of each column of (cases, figures).

    Each is what `mean_interval` gives; figures with values for the same cases share the draws.
    """
    values = np.asarray(values, np.float64)
    found = np.full((values.shape[1], 2), nan)
    alike: dict[bytes, list[int]] = {}
    for column, known in enumerate(~np.isnan(values).T):
        alike.setdefault(known.tobytes(), []).append(column)
    for columns in alike.values():
        rows = ~np.isnan(values[:, columns[0]])
        for start in range(0, len(columns), COLUMNS):
            some = columns[start : start + COLUMNS]
            found[some] = _within(values[rows][:, some], level, bounds, seed)
    return found


def case_draws(cases: int, *, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of (draws, cases): how often each case is in a sample with repetition."""
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // cases)
    for start in range(0, draws, at_once):
        number = min(at_once, draws - start)
        picks = rng.integers(0, cases, (number, cases)) + cases * np.arange(number)[:, None]
        counts = np.bincount(picks.ravel(), minlength=number * cases)
        yield counts.reshape(number, cases).astype(np.float64)


def _within(values: np.ndarray, level: float, bounds: tuple[float, float], seed: int) -> np.ndarray:
    """Intervals inside the bounds, or inside the range of values that break them."""
    if len(values) < 2:
        return np.full((values.shape[1], 2), nan)
    finite = np.isfinite(values).all(0)
    limits = np.full((values.shape[1], 2), nan)
    if not finite.any():
        return limits
    inner = values[:, finite]
    low, high = np.minimum(bounds[0], inner.min(0)), np.maximum(bounds[1], inner.max(0))
    limits[finite] = np.clip(_studentised(inner, level, seed), low[:, None], high[:, None])
    return limits


def _studentised(values: np.ndarray, level: float, seed: int) -> np.ndarray:
    """(figures, 2) from (cases, figures) without NaN."""
    number = len(values)
    # The mean of equal values differs from them by rounding, which would be taken for spread.
    mean = np.where(np.ptp(values, axis=0) == 0, values[0], values.mean(0))
    centred = values - mean
    variance = (centred**2).mean(0)
    quantiles = _student(number, level) * np.ones((1, len(mean)))
    if number >= FEWEST:
        distances = [
            _distances(counts, centred, variance)
            for counts in case_draws(number, draws=RESAMPLES, seed=seed)
        ]
        drawn = _quantiles(np.concatenate(distances), (0.5 + level / 2, 0.5 - level / 2))
        quantiles = np.stack((np.fmax(quantiles[0], drawn[0]), np.fmin(quantiles[1], drawn[1])))
    return (mean - quantiles * np.sqrt(variance / (number - 1))).T


def _student(number: int, level: float) -> np.ndarray:
    """(2, 1): the upper and the lower quantile of Student's t."""
    # Heavy to import.
    from scipy.special import stdtrit

    upper = float(stdtrit(number - 1, 0.5 + level / 2))
    return np.array([[upper], [-upper]])


def _quantiles(distances: np.ndarray, shares: tuple[float, float]) -> np.ndarray:
    """(shares, figures) from (draws, figures), NaN left out."""
    found = np.empty((len(shares), distances.shape[1]))
    holes = np.isnan(distances).any(0)
    # Several times faster where nothing is to be left out.
    found[:, ~holes] = np.quantile(distances[:, ~holes], shares, axis=0)
    if holes.any():
        found[:, holes] = np.nanquantile(distances[:, holes], shares, axis=0)
    return found


def _distances(counts: np.ndarray, centred: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(draws, figures): how far the draw's mean lies from the true one, in its own error."""
    number = counts.shape[1]
    shift = counts @ centred / number
    spread = counts @ centred**2 / number - shift**2
    spread[spread <= NO_SPREAD * variance] = nan
    # All cases equal: the error is 0, whatever multiplies it.
    spread[:, variance == 0] = 1.0
    return shift / np.sqrt(spread / (number - 1))
