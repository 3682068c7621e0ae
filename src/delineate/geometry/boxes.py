"""Boxes of voxels: the smallest around something, and one cut out, over the border too."""

from typing import Any

import numpy as np

__all__ = ["Box", "bounding_box", "cut", "slices"]

Box = tuple[tuple[int, int], ...]
"""(start, stop) along each spatial axis."""


def bounding_box(filled: np.ndarray) -> Box | None:
    """The smallest box around all true voxels; None where there is none."""
    box: list[tuple[int, int]] = []
    for axis in range(filled.ndim):
        others = tuple(a for a in range(filled.ndim) if a != axis)
        found = np.flatnonzero(filled.any(axis=others))
        if len(found) == 0:
            return None
        start, stop = int(found[0]), int(found[-1]) + 1
        box.append((start, stop))
        # Each later axis looks only at what the earlier ones have left.
        filled = filled[(slice(None),) * axis + (slice(start, stop),)]
    return tuple(box)


def slices(box: Box) -> tuple[slice, ...]:
    """The box as an index."""
    return tuple(slice(start, stop) for start, stop in box)


def cut(source: Any, start: tuple[int, ...], stop: tuple[int, ...], *, out: np.ndarray) -> None:
    """Fill `out` with the box start..stop of the last axes of `source`; zeros over the border.

    Args:
        source: An array, or anything with `shape` and slicing that returns arrays.
        start: May be negative.
        stop: May lie beyond the shape.
        out: Of the box's shape, of any type that holds the values.
    """
    shape = source.shape[-len(start) :]
    inside = [
        (min(max(a, 0), n), min(max(b, 0), n)) for a, b, n in zip(start, stop, shape, strict=True)
    ]
    found = source[(..., *slices(tuple(inside)))]
    if found.shape == out.shape:
        out[...] = found
        return
    out[...] = 0
    out[(..., *(slice(o - a, i - a) for a, (o, i) in zip(start, inside, strict=True)))] = found
