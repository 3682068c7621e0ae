"""Voxel counts, and the figures that follow from them, for every class of a case in one pass.

Where a figure has no value it is NaN, and means leave it out:

======================  =========================  ====================  ================
figure                  truth and prediction empty only one is empty     otherwise
======================  =========================  ====================  ================
dice, iou               1                          0                     the usual ratio
sensitivity             NaN                        NaN if truth is empty TP / (TP + FN)
precision               NaN                        NaN if prediction is  TP / (TP + FP)
specificity             1                          TN / (TN + FP)        NaN without negatives
accuracy                1                          (TP + TN) / all       the usual ratio
======================  =========================  ====================  ================
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from delineate.labels import Labels

__all__ = ["OVERLAP", "Counts", "confusion", "count", "union"]

CHUNK = 1 << 18
"""Voxels that are counted at a time: the work stays in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many voxels of one class agree and disagree; ignored voxels are in none of them."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of both; 1 where both are empty."""
        wrong = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + wrong, empty=1.0)

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both are empty."""
        wrong = self.false_positive + self.false_negative
        return _ratio(self.true_positive, self.true_positive + wrong, empty=1.0)

    @property
    def sensitivity(self) -> float:
        """The share of the truth that was found; NaN where there was nothing to find."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """The share of the prediction that is right; NaN where nothing was predicted."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def specificity(self) -> float:
        """The share of the rest that was left alone; NaN where the truth fills the scan."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def accuracy(self) -> float:
        """The share of all voxels that is right; near 1 for every small structure."""
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_positive + self.false_negative)

    @property
    def predicted(self) -> int:
        """Voxels of the prediction."""
        return self.true_positive + self.false_positive

    @property
    def true(self) -> int:
        """Voxels of the truth."""
        return self.true_positive + self.false_negative


OVERLAP: dict[str, Callable[[Counts], float]] = {
    "dice": lambda c: c.dice,
    "iou": lambda c: c.iou,
    "sensitivity": lambda c: c.sensitivity,
    "precision": lambda c: c.precision,
    "specificity": lambda c: c.specificity,
    "accuracy": lambda c: c.accuracy,
}
"""Every figure of voxel counts by its column name."""


def count(prediction: np.ndarray, truth: np.ndarray, labels: Labels) -> dict[str, Counts]:
    """Counts of every class by name, from encoded masks (see `Labels.encode`)."""
    if labels.overlapping:
        return {n: _count_masks(prediction, truth, labels.members(n)) for n in labels.names}
    matrix = confusion(prediction, truth, channels=labels.channels)
    return {n: _count_members(matrix, labels.members(n)) for n in labels.names}


def confusion(prediction: np.ndarray, truth: np.ndarray, *, channels: int) -> np.ndarray:
    """How often each true channel (row) was given each predicted one (column).

    Voxels that the truth ignores (-1) are left out; predicted as -1 counts as background.
    """
    size = channels + 1  # row and column 0 hold the ignored voxels
    total = np.zeros(size * size)
    flat_prediction, flat_truth = prediction.ravel(), truth.ravel()
    for start in range(0, flat_truth.size, CHUNK):
        pair = np.multiply(flat_truth[start : start + CHUNK], size, dtype=np.int32)
        pair += flat_prediction[start : start + CHUNK]
        pair += size + 1
        # Masks are made of long runs of one pair, which are counted as a whole.
        last = np.append(np.flatnonzero(pair[1:] != pair[:-1]), len(pair) - 1)
        total += np.bincount(pair[last], np.diff(last, prepend=-1), minlength=size * size)
    matrix = total.astype(np.int64).reshape(size, size)[1:]
    matrix[:, 1] += matrix[:, 0]
    return matrix[:, 1:]


def _count_members(matrix: np.ndarray, members: tuple[int, ...]) -> Counts:
    chosen = np.array(members)
    both = int(matrix[np.ix_(chosen, chosen)].sum())
    true, predicted = int(matrix[chosen].sum()), int(matrix[:, chosen].sum())
    return _counts(both, predicted, true, int(matrix.sum()))


def _count_masks(prediction: np.ndarray, truth: np.ndarray, members: tuple[int, ...]) -> Counts:
    one, other = union(prediction, members), union(truth, members)
    both = int(np.count_nonzero(one & other))
    return _counts(both, int(np.count_nonzero(one)), int(np.count_nonzero(other)), one.size)


def union(masks: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    """Where any of the chosen masks (k, *s) is set."""
    found = masks[members[0]] > 0
    for member in members[1:]:
        found |= masks[member] > 0
    return found


def _counts(both: int, predicted: int, true: int, total: int) -> Counts:
    return Counts(
        true_positive=both,
        false_positive=predicted - both,
        false_negative=true - both,
        true_negative=total - predicted - true + both,
    )


def _ratio(part: int, whole: int, *, empty: float = float("nan")) -> float:
    return part / whole if whole else empty
