"""Distances between the surfaces of two masks, in mm.

The surface of a mask is its voxels with a face neighbour outside it; beyond the edge of the scan
is outside. Distances run between voxel centres. They are found by a k-d tree over the surface
voxels only, so the cost follows the surface, not the scan, and voxels common to both surfaces cost
nothing.

======================  =========================  ======================
figure                  truth and prediction empty only one is empty
======================  =========================  ======================
hd95_mm, assd_mm        NaN                        the scan's diagonal
surface_dice            1                          0
======================  =========================  ======================

The diagonal is the longest distance in the scan: a structure that is missed never improves a mean.
"""

from dataclasses import dataclass

import numpy as np

from delineate.labels import IGNORE, Labels
from delineate.metrics.overlap import union

__all__ = ["SurfaceDistances", "measure_surfaces", "surface_distances"]

Box = tuple[slice, ...]

ROUNDING_MM = 1e-6
"""Multiples of a spacing such as 0.7 are not exact: what lies on the tolerance is within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceDistances:
    """From each surface voxel of one mask to the nearest of the other, in mm."""

    to_truth: np.ndarray
    """One entry per surface voxel of the prediction; empty where either surface is."""
    to_prediction: np.ndarray
    """One entry per surface voxel of the truth."""
    missing: float | None = None
    """What stands for a distance when one mask is empty (mm), NaN when both are; else None."""

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles."""
        if self.missing is not None:
            return self.missing
        both = (self.to_truth, self.to_prediction)
        return float(max(np.percentile(d, 95) for d in both))

    @property
    def assd(self) -> float:
        """The mean over the voxels of both surfaces together."""
        if self.missing is not None:
            return self.missing
        return float(np.concatenate((self.to_truth, self.to_prediction)).mean())

    def surface_dice(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within the tolerance of the other."""
        if self.missing is not None:
            return 1.0 if np.isnan(self.missing) else 0.0
        both = np.concatenate((self.to_truth, self.to_prediction))
        return float(np.mean(both <= tolerance_mm + ROUNDING_MM))


def measure_surfaces(
    prediction: np.ndarray, truth: np.ndarray, labels: Labels, spacing: tuple[float, ...]
) -> dict[str, SurfaceDistances]:
    """Distances of every class by name, from encoded masks; ignored voxels belong to no class."""
    if labels.overlapping:
        pairs = {n: (union(prediction, m), union(truth, m)) for n, m in _members(labels)}
        return {n: surface_distances(p, t, spacing) for n, (p, t) in pairs.items()}
    if labels.ignore is not None:
        prediction = np.where(truth == IGNORE, 0, prediction)
    boxes = _boxes(prediction, truth, labels.channels)
    diagonal = _diagonal(truth.shape, spacing)
    found = {}
    for name, members in _members(labels):
        box = _union_box([boxes[m] for m in members], truth.ndim)
        one, other = (_inside(mask[box], members) for mask in (prediction, truth))
        found[name] = _distances(one, other, spacing, diagonal)
    return found


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...]
) -> SurfaceDistances:
    """Distances between two boolean masks of one shape (*s)."""
    box = _union_box([_box(prediction), _box(truth)], truth.ndim)
    return _distances(prediction[box], truth[box], spacing, _diagonal(truth.shape, spacing))


def _distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], diagonal: float
) -> SurfaceDistances:
    empty = (not prediction.any(), not truth.any())
    if any(empty):
        none = np.empty(0)
        missing = float("nan") if all(empty) else diagonal
        return SurfaceDistances(to_truth=none, to_prediction=none, missing=missing)
    edges = _surface(prediction), _surface(truth)
    return SurfaceDistances(
        to_truth=_nearest(edges[0], edges[1], spacing),
        to_prediction=_nearest(edges[1], edges[0], spacing),
    )


def _surface(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that have a face neighbour outside it."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        along, solid = np.moveaxis(mask, axis, 0), np.moveaxis(inside, axis, 0)
        solid[1:] &= along[:-1]
        solid[:-1] &= along[1:]
        solid[0] = solid[-1] = False
    return mask & ~inside


def _nearest(start: np.ndarray, goal: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """mm from each voxel of `start` to the nearest of `goal`; those in both come first, as 0."""
    from scipy.spatial import KDTree

    apart = np.argwhere(start & ~goal)
    shared = np.count_nonzero(start) - len(apart)
    if not len(apart):
        return np.zeros(shared)
    tree = KDTree(np.argwhere(goal) * spacing, balanced_tree=False, compact_nodes=False)
    distances, _ = tree.query(apart * np.asarray(spacing))
    return np.concatenate((np.zeros(shared), distances))


def _inside(channels: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    found = channels == members[0]
    for member in members[1:]:
        found |= channels == member
    return found


def _boxes(prediction: np.ndarray, truth: np.ndarray, channels: int) -> list[Box | None]:
    """For each channel, the box that holds it in either mask; None where it is in neither."""
    from scipy.ndimage import find_objects

    found = [find_objects(np.maximum(m, 0), channels - 1) for m in (prediction, truth)]
    pairs = zip(*found, strict=True)
    return [None, *(_union_box([p, t], truth.ndim) if p or t else None for p, t in pairs)]


def _box(mask: np.ndarray) -> Box | None:
    axes = range(mask.ndim)
    lines = [np.any(mask, axis=tuple(a for a in axes if a != axis)) for axis in axes]
    if not np.any(lines[0]):
        return None
    return tuple(slice(int(v.argmax()), int(v.size - v[::-1].argmax())) for v in lines)


def _union_box(boxes: list[Box | None], dims: int) -> Box:
    """The box around all boxes; an empty one where there is none."""
    known = [box for box in boxes if box is not None]
    if not known:
        return (slice(0, 0),) * dims
    sides = zip(*known, strict=True)
    return tuple(slice(min(s.start for s in a), max(s.stop for s in a)) for a in sides)


def _members(labels: Labels) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, labels.members(name)) for name in labels.names]


def _diagonal(shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    return float(np.linalg.norm(np.multiply(shape, spacing)))
