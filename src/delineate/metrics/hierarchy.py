"""Overlapping masks may break their own order: voxels of a part that lie outside the whole.

The figure is the share of a class's predicted voxels outside the nearest class above it that has a
mask of its own: 0 where all lie inside, NaN where the class is empty or has nothing above it. It
says nothing of the truth. Exclusive labels cannot break their order, and have no such figure.
"""

import numpy as np

from delineate.labels import Labels

__all__ = ["hierarchy_violations"]


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
