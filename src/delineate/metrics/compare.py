"""Two tables on the same cases: by how much one is better, and whether that may be chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from delineate.metrics.bootstrap import mean_intervals
from delineate.metrics.direction import Direction, difference_bounds, direction
from delineate.metrics.holm import correct
from delineate.metrics.pairing import pair_tables
from delineate.metrics.permutation import EXACT, sign_flip_p, signed_ranks
from delineate.metrics.table import Table, known_mean

__all__ = ["Difference", "compare", "compare_classes", "take_differences"]

TIE = 1e-8
"""Figures this close, relative to their size, are equal: tables hold nine digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first table minus the second, case by case or patient by patient."""

    metric: str
    label: str | None
    """The class; None for the mean over the classes of each case."""
    names: tuple[str, str]
    first: float
    """The mean of the first table over the shared cases."""
    second: float
    mean: float
    low: float
    high: float
    """The 95 % interval of the mean difference, by a bootstrap over the cases."""
    effect: float
    """The mean difference in standard deviations of the differences; NaN where they are equal."""
    p: float
    """Two-sided, of the permutation test of paired samples; NaN with fewer than two cases."""
    adjusted: float
    """p when all tests that were made together count (Holm); p itself for a single test."""
    exact: bool
    """Whether p counts every pattern of signs, not a random choice of them."""
    wilcoxon: float
    """p of the signed-rank test, which asks how often and how clearly, not by how much."""
    cases: int
    better: int
    """Cases in which the first is better; higher, where the metric knows no better."""
    ties: int
    worse: int

    @property
    def direction(self) -> Direction:
        """Which figures are better."""
        return direction(self.metric)

    @property
    def winner(self) -> str | None:
        """The name of the better table on average; None for a tie, no direction or no value."""
        if self.direction == "neither" or not abs(self.mean) > 0:
            return None
        return self.names[(self.mean > 0) != (self.direction == "higher")]

    def __str__(self) -> str:
        word = "higher" if self.direction == "neither" else "better"
        return (
            f"{self.metric}: {self.first:.4f} against {self.second:.4f}, difference "
            f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}] over {self.cases} cases, "
            f"{word} in {self.better}, equal in {self.ties}, p = {self.p:.4f}"
        )


def compare(
    first: Table,
    second: Table,
    metric: str = "dice",
    *,
    names: tuple[str, str] = ("first", "second"),
    patients: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Difference:
    """Pair the cases' means over classes; figures without a value on either side are left out.

    Tables that share no case, or have other classes, are a DataError.

    Args:
        names: What the tables are called.
        patients: The patient of each case: cases of one patient count as one.
    """
    paired = pair_tables((first, second), metric, patients=patients)
    means = known_mean(paired.by_unit(paired.complete), axis=2)
    return take_differences(metric, means[0, :, None], means[1, :, None], names=[names], seed=seed)[
        0
    ]


def compare_classes(
    first: Table,
    second: Table,
    metric: str = "dice",
    *,
    names: tuple[str, str] = ("first", "second"),
    patients: Mapping[str, str] | None = None,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """The same for every class; `adjusted` counts all of them."""
    paired = pair_tables((first, second), metric, patients=patients)
    values = paired.by_unit(paired.complete)
    found = take_differences(
        metric, values[0], values[1], names=[names] * len(paired.labels), seed=seed
    )
    labelled = zip(found, paired.labels, strict=True)
    return correct([replace(each, label=label) for each, label in labelled])


def take_differences(
    metric: str,
    first: np.ndarray,
    second: np.ndarray,
    *,
    names: Sequence[tuple[str, str]],
    seed: int = 0,
) -> tuple[Difference, ...]:
    """One comparison per column of two arrays (cases, comparisons) with NaN in the same places.

    `adjusted` is p itself, for whoever knows which tests belong together to correct.
    """
    differences = first - second
    differences[np.abs(differences) <= TIE * np.maximum(np.abs(first), np.abs(second))] = 0.0
    means = known_mean(differences, axis=0)
    intervals = mean_intervals(differences, bounds=difference_bounds(metric), seed=seed)
    p = sign_flip_p(differences, seed=seed)
    wilcoxon = sign_flip_p(signed_ranks(differences), seed=seed)
    found = []
    for i, column in enumerate(differences.T):
        up, down = int((column > 0).sum()), int((column < 0).sum())
        better, worse = (down, up) if direction(metric) == "lower" else (up, down)
        found.append(
            Difference(
                metric=metric,
                label=None,
                names=names[i],
                first=float(known_mean(first[:, i], axis=0)),
                second=float(known_mean(second[:, i], axis=0)),
                mean=float(means[i]),
                low=float(intervals[i, 0]),
                high=float(intervals[i, 1]),
                effect=_effect(column),
                p=float(p[i]),
                adjusted=float(p[i]),
                exact=up + down <= EXACT,
                wilcoxon=float(wilcoxon[i]),
                cases=int((~np.isnan(column)).sum()),
                better=better,
                ties=int((column == 0).sum()),
                worse=worse,
            )
        )
    return tuple(found)


def _effect(differences: np.ndarray) -> float:
    """Cohen's d of paired samples."""
    known = differences[~np.isnan(differences)]
    if known.size < 2 or np.ptp(known) == 0:
        return np.nan
    return float(known.mean() / known.std(ddof=1))
