"""Whether a class is in a scan at all: per case right or wrong, over the cases a score of its own.

The area under the ROC curve is the probability that a case with the class has a higher score than
one without; equal scores count half. It needs both kinds of cases; without scores the size of the
predicted class is the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from delineate.errors import DataError
from delineate.metrics.overlap import Counts
from delineate.metrics.table import Table

__all__ = ["Presence", "area_under_curve", "judge_presence", "presence_figures"]

COLUMNS = ("present_voxels", "truly_present", "presence_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """One class over all cases."""

    cases: int
    present: int
    """Cases whose truth has the class."""
    accuracy: float
    """The share of cases in which the prediction agrees whether the class is there."""
    sensitivity: float
    """The share of the cases with the class in which it is predicted; NaN without such cases."""
    specificity: float
    """The share of the cases without it in which it is not predicted; NaN without such cases."""
    auc: float
    """NaN unless there are cases of both kinds."""


def presence_figures(counts: Counts) -> dict[str, float]:
    """How much of the class is predicted, whether it is there (1) or not (0), and if they agree."""
    right = (counts.predicted > 0) == (counts.true > 0)
    return dict(
        zip(COLUMNS, (float(counts.predicted), float(counts.true > 0), float(right)), strict=True)
    )


def judge_presence(table: Table, scores: Table | None = None) -> dict[str, Presence]:
    """Each class over the cases of a table with the figures of presence.

    Args:
        scores: A table with a column `score` for the same cases and classes: higher is surer that
            the class is there. None takes the predicted voxels.
    """
    missing = [name for name in COLUMNS if name not in table.metrics]
    if missing:
        raise DataError(
            f"presence: the table has no column {missing[0]}. Fix: evaluate with presence."
        )
    sizes, true, right = (table.values(name) for name in COLUMNS)
    given = sizes if scores is None else _aligned(table, scores)
    found = {}
    for i, name in enumerate(table.labels):
        known = ~np.isnan(true[:, i])
        there, correct = true[known, i] > 0, right[known, i]
        found[name] = Presence(
            cases=int(known.sum()),
            present=int(there.sum()),
            accuracy=_mean(correct),
            sensitivity=_mean(correct[there]),
            specificity=_mean(correct[~there]),
            auc=area_under_curve(given[known, i], there),
        )
    return found


def area_under_curve(scores: Sequence[float] | np.ndarray, present: np.ndarray) -> float:
    """Of the ROC curve; NaN unless there are cases with and without the class and all scores."""
    values, there = np.asarray(scores, np.float64), np.asarray(present, bool)
    positive, negative = int(there.sum()), int((~there).sum())
    if not positive or not negative or np.isnan(values).any():
        return nan
    _, place, number = np.unique(values, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks.
    ranks = (np.cumsum(number) - (number - 1) / 2)[place]
    wins = ranks[there].sum() - positive * (positive + 1) / 2
    return float(wins / (positive * negative))


def _aligned(table: Table, scores: Table) -> np.ndarray:
    """(cases, classes) scores in the order of the table."""
    if "score" not in scores.metrics:
        raise DataError("presence: the table of scores has no column score.")
    found = {(row.case, row.label): row.values["score"] for row in scores.rows}
    try:
        return np.array([[found[case, name] for name in table.labels] for case in table.cases])
    except KeyError as error:
        case, name = error.args[0]
        raise DataError(f"presence: no score for {name} in {case}.") from None


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else nan
