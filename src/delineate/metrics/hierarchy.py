"""Predictions may break the order of their own classes.

Overlapping masks do where voxels of a part lie outside the whole. The figure is the share of a
class's predicted voxels outside the nearest class above it that has a mask of its own: 0 where all
lie inside, NaN where the class is empty or has nothing above it. It says nothing of the truth.

Masks of exclusive labels cannot, but probabilities can: the most probable union, its members'
probabilities being summed, need not be the one that the most probable class is a member of.
"""

from dataclasses import dataclass

import numpy as np

from delineate.labels import Labels

__all__ = ["Violations", "hierarchy_violations", "level_violations"]


@dataclass(frozen=True, slots=True)
class Violations:
    """Voxels whose levels contradict each other, of those that were looked at; parts add up."""

    violated: int = 0
    voxels: int = 0

    def __add__(self, other: "Violations") -> "Violations":
        return Violations(self.violated + other.violated, self.voxels + other.voxels)

    @property
    def rate(self) -> float:
        """The share; NaN of no voxels."""
        return self.violated / self.voxels if self.voxels else float("nan")


def hierarchy_violations(prediction: np.ndarray, labels: Labels) -> dict[str, float]:
    """By class, from overlapping masks (k, *s); without overlap there are none."""
    if not labels.overlapping:
        return {}
    layer = {leaf.name: prediction[i] > 0 for i, leaf in enumerate(labels.leaves)}
    return {name: _outside(layer, name, _whole(labels, name)) for name in labels.names}


def _whole(labels: Labels, name: str) -> str | None:
    """The nearest class above with a mask of its own; None where there is none."""
    above = {c.name: c.parent for c in labels.classes}
    own = {leaf.name for leaf in labels.leaves}
    parent = above[name]
    while parent is not None and parent not in own:
        parent = above[parent]
    return parent


def _outside(layer: dict[str, np.ndarray], name: str, whole: str | None) -> float:
    if whole is None or name not in layer:
        return float("nan")
    part = layer[name]
    size = np.count_nonzero(part)
    return np.count_nonzero(part & ~layer[whole]) / size if size else float("nan")


def level_violations(
    probabilities: np.ndarray, labels: Labels, truth: np.ndarray | None = None
) -> Violations:
    """Where the most probable class of any coarser level does not hold the most probable leaf.

    Looked at are the voxels that the prediction or the truth gives a class, without those that the
    truth ignores. Overlapping labels, whose classes are decided one by one, have none.

    Args:
        probabilities: (k, *s), one a channel; only their ratios at a voxel matter.
        truth: (*s) channels; None counts by the prediction alone.
    """
    if labels.overlapping:
        return Violations()
    leaf = probabilities.argmax(0)
    seen = leaf > 0
    if truth is not None:
        seen = (seen | (truth > 0)) & (truth >= 0)
    leaf, found = leaf[seen], probabilities[:, seen]
    violated = np.zeros(leaf.shape, bool)
    for groups in labels.levels[:-1]:
        place = np.empty(len(found), np.intp)
        for number, group in enumerate(groups):
            place[list(group)] = number
        violated |= _most_probable(found, groups) != place[leaf]
    return Violations(int(np.count_nonzero(violated)), leaf.size)


def _most_probable(probabilities: np.ndarray, groups: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """The number of the group with the largest sum; of equal ones the first."""
    best = probabilities[list(groups[0])].sum(0)
    winner = np.zeros(best.shape, np.intp)
    for number, group in enumerate(groups[1:], 1):
        own = probabilities[list(group)].sum(0)
        better = own > best
        winner[better] = number
        np.copyto(best, own, where=better)
    return winner
