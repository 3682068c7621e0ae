"""One volume in two parts, one to learn from and one that is held out, with a gap between them.

Planes through the volume that leave enough labelled voxels on one side are looked at, along each
axis, from both ends and with gaps of several widths. The cut with the most classes on both sides is
taken, then the widest gap, then the one that holds out least, then the one that is most even. No
training sample reaches beyond its part, so even the smallest gap keeps held-out voxels unseen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from delineate.errors import DataError
from delineate.geometry import Box
from delineate.labels import Labels

__all__ = ["Regions", "describe_regions", "split_volume"]

LARGEST = 0.5
"""What is held out at most, where more than the share puts more classes on both sides."""
ENOUGH = 0.02
"""A class is on a side that has this part of its voxels, and more than a few."""
FEW = 8
NARROWEST = 2
"""Planes of a gap: the next plane shows the same borders, half blurred into it."""
AXES = ("left to right", "back to front", "bottom to top")


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Boxes of one volume that have no voxel in common."""

    training: Box
    validation: Box
    axis: int
    gap: int
    """Planes between them that are in neither."""
    voxels: tuple[np.ndarray, np.ndarray]
    """Of each channel (k,), in training and in validation."""


def split_volume(
    mask: np.ndarray, labels: Labels, *, share: float, patch: Sequence[int]
) -> Regions:
    """The best cut of a mask of channels (*s); a volume that cannot be cut is a DataError.

    Args:
        share: of the labelled voxels that is held out at least.
        patch: the gap has at most a quarter of it.
    """
    options = [
        option
        for axis in range(mask.ndim)
        for option in _cuts(mask, axis, labels.channels, share=share, patch=patch)
    ]
    if not options:
        raise DataError(
            f"the volume of {'x'.join(map(str, mask.shape))} cannot be cut so that both parts have "
            "labels. Fix: a larger volume, or several subjects."
        )
    return max(options, key=lambda option: _worth(option, share))


def describe_regions(regions: Regions, labels: Labels) -> list[str]:
    """The cut in words, and which classes either part lacks."""
    low = regions.training[regions.axis][0] > 0
    held = regions.validation[regions.axis]
    training, validation = regions.voxels
    share = validation[1:].sum() / max(1, (training + validation)[1:].sum())
    lines = [
        f"one volume: planes {held[0]} to {held[1] - 1} {AXES[regions.axis]} are held out "
        f"({'lower' if low else 'upper'} side, {share:.0%} of the labelled voxels that are used), "
        f"with a gap of {regions.gap} planes"
    ]
    there = (training + validation) > 0
    for part, counts in (("training", training), ("validation", validation)):
        lacking = [
            leaf.name for i, leaf in enumerate(labels.leaves, 1) if there[i] and not counts[i]
        ]
        if lacking:
            lines.append(f"the {part} part has no voxel of {', '.join(lacking)}")
    gone = [leaf.name for i, leaf in enumerate(labels.leaves, 1) if not there[i]]
    if gone:
        lines.append(f"neither part has a voxel of {', '.join(gone)}")
    return lines


def _cuts(
    mask: np.ndarray, axis: int, channels: int, *, share: float, patch: Sequence[int]
) -> Iterator[Regions]:
    """From both ends of an axis, the cuts that hold out the share or more, up to one half."""
    planes = _count_planes(mask, axis, channels)
    size = len(planes)
    widest = max(NARROWEST, min(patch[axis] // 4, size // 8))
    gaps = sorted({widest, max(NARROWEST, widest // 2), NARROWEST})
    filled = planes[:, 1:].sum(1)
    total = filled.sum()
    if not total or size < 4:
        return
    before = np.concatenate([np.zeros_like(planes[:1]), planes.cumsum(0)])
    for from_above, gap in product((False, True), gaps):
        reached = np.cumsum(filled[::-1] if from_above else filled) / total
        least, most = (int(np.searchsorted(reached, part)) + 1 for part in (share, LARGEST))
        for depth in range(least, min(max(least, most), size - gap - 1) + 1):
            held = (size - depth, size) if from_above else (0, depth)
            kept = (0, size - depth - gap) if from_above else (depth + gap, size)
            counts = before[kept[1]] - before[kept[0]], before[held[1]] - before[held[0]]
            if counts[0][1:].any() and counts[1][1:].any():
                whole: list[tuple[int, int]] = [(0, n) for n in mask.shape]
                yield Regions(
                    training=(*whole[:axis], kept, *whole[axis + 1 :]),
                    validation=(*whole[:axis], held, *whole[axis + 1 :]),
                    axis=axis,
                    gap=gap,
                    voxels=counts,
                )


def _count_planes(mask: np.ndarray, axis: int, channels: int) -> np.ndarray:
    """(n, k): voxels of each channel in each plane; the background is not counted."""
    counts = np.zeros((mask.shape[axis], channels), np.int64)
    for number, plane in enumerate(np.moveaxis(mask, axis, 0)):
        counts[number] = np.bincount(plane[plane > 0], minlength=channels)
    return counts


def _worth(option: Regions, share: float) -> tuple[float, ...]:
    training, validation = (counts[1:] for counts in option.voxels)
    total = training + validation
    least = np.maximum(FEW, ENOUGH * total)
    both = (training >= least) & (validation >= least)
    held = validation.sum() / max(1, total.sum())
    even = np.minimum(training, validation)[both] / total[both]
    # Cuts that hold out nearly the same are told apart by how even they are.
    less = -round(20 * max(0.0, held - share))
    return float(both.sum()), option.gap, less, float(even.sum())
