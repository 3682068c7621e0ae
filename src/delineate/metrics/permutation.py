"""Tests that shuffle what would be arbitrary if nothing differed; no distribution is assumed."""

from math import nan

import numpy as np

__all__ = ["EXACT", "group_p", "sign_flip_p", "signed_ranks"]

EXACT = 20
"""Up to so many differences that are not 0, every pattern of signs is counted."""
DRAWS = 20_000
"""Random patterns where there are more."""
CHUNK = 1 << 20
ROUNDING = 1e-11
"""Statistics that are the same but for rounding count as reached."""


def sign_flip_p(differences: np.ndarray, *, one_sided: bool = False, seed: int = 0) -> np.ndarray:
    """The p of each column of (cases, tests): may the mean difference be 0?

    If nothing differs, each pair could as well be the other way round: every pattern of signs is as
    likely as the observed one. NaN is no pair; a test of fewer than two pairs is NaN, one of pairs
    that are all equal is 1.

    Args:
        one_sided: Ask only whether the mean lies above 0.
    """
    pairs = (~np.isnan(differences)).sum(0)
    columns = np.where(np.isnan(differences), 0.0, differences)
    few = (columns != 0).sum(0) <= EXACT
    found = np.full(columns.shape[1], nan)
    found[few] = [_exact_p(column[column != 0], one_sided) for column in columns[:, few].T]
    if not few.all():
        found[~few] = _drawn_p(columns[:, ~few], one_sided, seed)
    return np.where(pairs < 2, nan, found)


def signed_ranks(differences: np.ndarray) -> np.ndarray:
    """Each column's differences by the rank of their size; with them the test is Wilcoxon's.

    Equal sizes share the mean of their ranks; 0 and NaN have no rank and stay as they are.
    """
    ranked = np.array(differences, np.float64)
    for column in ranked.T:
        there = np.flatnonzero(~np.isnan(column) & (column != 0))
        if there.size:
            sizes = np.abs(column[there])
            column[there] = np.sign(column[there]) * _mean_ranks(sizes / sizes.max())
    return ranked


def group_p(values: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> float:
    """May all groups have the same mean? Cases are dealt out anew to groups of the same sizes.

    The statistic is Welch's, in which groups may also differ in spread. A group of one case has no
    spread and takes no part; NaN with fewer than two groups left.

    Args:
        groups: The number of each value's group.
    """
    sizes = np.bincount(groups)
    takes_part = sizes[groups] >= 2
    order = np.argsort(groups[takes_part], kind="stable")
    values, sizes = values[takes_part][order], sizes[sizes >= 2]
    if len(sizes) < 2:
        return nan
    centred = values - values.mean()
    if np.ptp(values) == 0:
        return 1.0
    observed = _between(centred[None], sizes)[0] * (1 - ROUNDING)
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // len(values))
    reached = 0
    for start in range(0, DRAWS, at_once):
        dealt = np.tile(centred, (min(at_once, DRAWS - start), 1))
        reached += int((_between(rng.permuted(dealt, axis=1), sizes) >= observed).sum())
    # The observed dealing is one of the possible ones.
    return (reached + 1) / (DRAWS + 1)


def _exact_p(differences: np.ndarray, one_sided: bool) -> float:
    """The share of all patterns of signs that lie as far from 0 (one-sided: as high)."""
    if not differences.size:
        return 1.0
    # The first sign stays: the other half of the patterns is the mirror image.
    sums = differences[:1]
    for difference in differences[1:]:
        sums = np.concatenate((sums + difference, sums - difference))
    sums = np.concatenate((sums, -sums)) if one_sided else np.abs(sums)
    return float((sums >= _threshold(differences, one_sided)).mean())


def _drawn_p(columns: np.ndarray, one_sided: bool, seed: int) -> np.ndarray:
    """The same from random patterns, the same ones for every column."""
    rng = np.random.default_rng(seed)
    threshold = _threshold(columns, one_sided)
    at_once = max(1, CHUNK // max(columns.shape))
    reached = np.zeros(columns.shape[1])
    for start in range(0, DRAWS, at_once):
        shape = (min(at_once, DRAWS - start), len(columns))
        signs = rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1.0
        sums = signs @ columns
        reached += ((sums if one_sided else np.abs(sums)) >= threshold).sum(0)
    # The observed signs are one of the possible draws.
    return (reached + 1) / (DRAWS + 1)


def _threshold(differences: np.ndarray, one_sided: bool) -> np.ndarray:
    observed = differences.sum(0)
    return (observed if one_sided else np.abs(observed)) - ROUNDING * np.abs(differences).sum(0)


def _mean_ranks(sizes: np.ndarray) -> np.ndarray:
    """Ranks from 1; what is the same but for rounding shares the mean of its ranks."""
    _, place, counts = np.unique(np.round(sizes, 10), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _between(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(draws,): Welch's statistic of (draws, cases), the groups lying side by side."""
    starts = np.cumsum(sizes) - sizes
    means = np.add.reduceat(values, starts, axis=1) / sizes
    squares = np.add.reduceat(values**2, starts, axis=1)
    variances = (squares - sizes * means**2) / (sizes - 1)
    # Equal values in a group: no weight may be infinite.
    weights = sizes / np.maximum(variances, 1e-9 * (values**2).mean(1, keepdims=True))
    middle = (weights * means).sum(1, keepdims=True) / weights.sum(1, keepdims=True)
    return (weights * (means - middle) ** 2).sum(1)
