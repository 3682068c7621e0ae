"""Two tables on the same cases: by how much one is better, and whether that may be chance."""

from dataclasses import dataclass
from math import nan

import numpy as np

from delineate.errors import DataError
from delineate.metrics.bootstrap import mean_interval
from delineate.metrics.table import Table

__all__ = ["Difference", "compare"]

FLIPS = 20_000
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first table minus the second, case by case."""

    metric: str
    first: float
    """The mean of the first table over the shared cases."""
    second: float
    mean: float
    low: float
    high: float
    """The 95 % interval of the mean difference, by a bootstrap over the cases."""
    p: float
    """How often signs drawn at random make a mean difference at least as large (two-sided)."""
    cases: int
    better: int
    """Cases in which the first is higher."""

    def __str__(self) -> str:
        return (
            f"{self.metric}: {self.first:.4f} against {self.second:.4f}, difference "
            f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}] over {self.cases} cases, "
            f"higher in {self.better}, p = {self.p:.4f}"
        )


def compare(first: Table, second: Table, metric: str = "dice", *, seed: int = 0) -> Difference:
    """Pair the cases' means over classes; cases without a value on either side are left out.

    Tables that share no case, or whose shared cases have other classes, are a DataError.
    """
    if set(first.labels) != set(second.labels):
        raise DataError(
            f"compare: one table has the classes {', '.join(first.labels)}, the other "
            f"{', '.join(second.labels)}. Fix: give both the same class names."
        )
    for table in (first, second):
        if metric not in table.metrics:
            raise DataError(
                f"compare: no metric '{metric}' in a table that has {', '.join(table.metrics)}."
            )
    ours, theirs = first.case_means(metric), second.case_means(metric)
    shared = [case for case in ours if case in theirs]
    if not shared:
        raise DataError("compare: the two tables share no case. Fix: evaluate the same cases.")
    pairs = np.array([(ours[case], theirs[case]) for case in shared])
    pairs = pairs[~np.isnan(pairs).any(1)]
    differences = pairs[:, 0] - pairs[:, 1]
    low, high = mean_interval(differences, seed=seed)
    means = pairs.mean(0) if len(pairs) else np.array([nan, nan])
    return Difference(
        metric=metric,
        first=float(means[0]),
        second=float(means[1]),
        mean=float(differences.mean()) if len(pairs) else nan,
        low=low,
        high=high,
        p=_sign_flip(differences, seed=seed),
        cases=len(pairs),
        better=int((differences > 0).sum()),
    )


def _sign_flip(differences: np.ndarray, *, seed: int) -> float:
    """The permutation test of paired samples: under the null each sign is a coin's toss."""
    if len(differences) < 2:
        return nan
    rng = np.random.default_rng(seed)
    observed = abs(differences.sum())
    at_once = max(1, CHUNK // len(differences))
    extreme = 0
    for start in range(0, FLIPS, at_once):
        number = min(at_once, FLIPS - start)
        signs = rng.integers(0, 2, (number, len(differences)), dtype=np.int8) * 2 - 1
        # A sum that is the same but for rounding counts as reached.
        extreme += int((np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum())
    # The observed signs are one of the possible draws.
    return (extreme + 1) / (FLIPS + 1)
