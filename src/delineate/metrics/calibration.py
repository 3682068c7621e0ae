"""Whether probabilities mean what they say: of voxels given 0.8, eight in ten are of the class.

Each class is a yes or no at every voxel that is not ignored. With the voxels in equal bins of
probability, the expected calibration error is the mean over bins, by their numbers of voxels, of
the difference between mean probability and frequency (Naeini 2015, as in Guo 2017); the Brier score
is the mean squared difference between probability and truth. Both are 0 at best. Empty masks are no
special case. Easy background counts too, so small structures have small errors: compare like with
like.
"""

from dataclasses import dataclass

import numpy as np

from delineate.errors import DataError
from delineate.labels import IGNORE, Labels

__all__ = ["Calibration", "calibrate", "measure_calibration"]

BINS = 15
CHUNK = 1 << 18
"""Voxels at a time: the work stays in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Voxels of one class by bins of probability; the last bin holds 1 too."""

    voxels: np.ndarray
    probability: np.ndarray
    """Sums over the voxels of each bin."""
    present: np.ndarray
    """How many voxels of each bin are of the class."""
    squares: float
    """The sum of squared differences between probability and truth."""

    @property
    def ece(self) -> float:
        """The expected calibration error; NaN without voxels."""
        total = self.voxels.sum()
        return float(np.abs(self.probability - self.present).sum() / total) if total else np.nan

    @property
    def brier(self) -> float:
        """The mean squared error of the probabilities; NaN without voxels."""
        total = self.voxels.sum()
        return float(self.squares / total) if total else np.nan


def calibrate(probability: np.ndarray, present: np.ndarray, *, bins: int = BINS) -> Calibration:
    """Bin the probabilities of one class beside whether it is there, both of one shape."""
    sums = np.zeros((3, bins))
    squares = 0.0
    flat, there = probability.ravel(), present.ravel()
    for start in range(0, flat.size, CHUNK):
        p = flat[start : start + CHUNK].astype(np.float64)
        t = there[start : start + CHUNK].astype(np.float64)
        place = np.minimum((p * bins).astype(np.intp), bins - 1)
        for row, weights in enumerate((np.ones_like(p), p, t)):
            sums[row] += np.bincount(place, weights, minlength=bins)
        squares += float(np.square(p - t).sum())
    voxels, probabilities, frequency = sums
    return Calibration(voxels=voxels, probability=probabilities, present=frequency, squares=squares)


def measure_calibration(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels
) -> dict[str, Calibration]:
    """Every class by name, from probabilities (k, *s), one per channel, and the encoded truth.

    A union has the sum of its members' probabilities, or where masks overlap the largest of them.
    """
    if probabilities.shape != (labels.channels, *truth.shape[labels.overlapping :]):
        raise DataError(
            f"the probabilities are {probabilities.shape}, the labels need {labels.channels} "
            f"channels on {truth.shape[labels.overlapping :]}."
        )
    low, high = float(probabilities.min(initial=0)), float(probabilities.max(initial=0))
    if not (low >= 0 and high <= 1 + 1e-3):
        raise DataError(
            f"the probabilities lie in {low:.3g}..{high:.3g}, not in 0..1.\n"
            "  Fix: write probabilities, not logits."
        )
    return {name: _calibrate_class(probabilities, truth, labels, name) for name in labels.names}


def _calibrate_class(
    probabilities: np.ndarray, truth: np.ndarray, labels: Labels, name: str
) -> Calibration:
    members = list(labels.members(name))
    if labels.overlapping:
        return calibrate(probabilities[members].max(0), truth[members].max(0) > 0)
    probability = probabilities[members[0]] if len(members) == 1 else probabilities[members].sum(0)
    present = np.isin(truth, members)
    if labels.ignore is not None:
        known = truth != IGNORE
        probability, present = probability[known], present[known]
    return calibrate(np.clip(probability, 0, 1), present)
