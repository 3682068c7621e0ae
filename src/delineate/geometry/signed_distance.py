"""How far each voxel is from the surface of a class, in mm, exactly.

Squared distances are minima of parabolas, one axis after the other (Felzenszwalb and Huttenlocher
2012). We take each minimum over the box of the class only, in whole planes at a time: structures
are small beside their scans, so this is faster than a transform of the whole, and never slower by
much.
"""

from math import prod
from typing import Any

import numpy as np

from delineate.geometry.boxes import Box, bounding_box, slices

__all__ = ["fill_continued", "signed_distance"]

_BLOCK = 1 << 15
_LOOK = 8


def signed_distance(filled: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray | None:
    """Float32 mm from each voxel's centre to the nearest centre on the other side of the surface.

    Positive outside the class, negative inside, never zero. None where the class has no surface:
    it is absent, or everywhere. Nothing is known of the world beyond the array, so its border is no
    surface.
    """
    inner, outer = bounding_box(filled), bounding_box(~filled)
    if inner is None or outer is None:
        return None
    if _size(outer) < _size(inner):
        return -_from_box(~filled, outer, spacing)
    return _from_box(filled, inner, spacing)


def fill_continued(
    out: np.ndarray,
    stored: Any,
    start: tuple[int, ...],
    *,
    spacing: tuple[float, ...],
    filled_beyond: bool,
) -> None:
    """Fill `out` with the box of distances that begins at `start`, in mm.

    Over the border, where masks are background, a class is at least as far as it is from the border
    and as the border is: the root of the sum of squares, which the true distance is never below.

    Args:
        out: (*s) float32.
        stored: Distances in units of the finest spacing: an array (*s), or anything with `shape`
            and slicing that returns arrays. The box must meet it.
        start: May be negative, and `start + out.shape` may lie beyond.
        spacing: mm along each axis.
        filled_beyond: Whether it is the background, which goes on over the border.
    """
    stop = [a + n for a, n in zip(start, out.shape, strict=True)]
    known = [(max(a, 0), min(b, n)) for a, b, n in zip(start, stop, stored.shape, strict=True)]
    inner = [slice(a - o, b - o) for (a, b), o in zip(known, start, strict=True)]
    found = out[tuple(inner)]
    found[...] = stored[(..., *slices(tuple(known)))]
    found *= np.float32(min(spacing))
    sign = np.float32(-1 if filled_beyond else 1)
    # One axis after the other: squares of several steps over the border add up.
    for axis, (held, step) in enumerate(zip(inner, spacing, strict=True)):
        filled = (*[slice(None)] * (axis + 1), *inner[axis + 1 :])
        planes = np.moveaxis(out[filled], axis, 0)
        _step_over(planes, slice(0, held.start), held.start, step, sign)
        _step_over(planes, slice(held.stop, None), held.stop - 1, step, sign)


def _step_over(planes: np.ndarray, beyond: slice, edge: int, step: float, sign: np.float32) -> None:
    """Fill the planes `beyond` the border, whose last known plane is `edge`."""
    places = np.arange(len(planes))[beyond]
    if len(places) == 0:
        return
    squared = np.square(np.maximum(sign * planes[edge], 0))
    gaps = np.square((places - edge) * step).astype(np.float32)
    far = gaps.reshape(-1, *[1] * squared.ndim) + squared
    np.sqrt(far, out=far)
    np.multiply(far, sign, out=planes[beyond])


def _from_box(filled: np.ndarray, box: Box, spacing: tuple[float, ...]) -> np.ndarray:
    distance = _distances(filled[slices(box)], box, filled.shape, spacing)
    # One voxel around the box: nothing farther off is nearer to a voxel within it.
    wide = tuple(
        (max(0, a - 1), min(n, b + 1)) for (a, b), n in zip(box, filled.shape, strict=True)
    )
    rest = ~filled[slices(wide)]
    own = tuple((0, n) for n in rest.shape)
    distance[slices(wide)] -= _distances(rest, own, rest.shape, spacing)
    return distance


def _distances(
    near: np.ndarray, box: Box, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> np.ndarray:
    """From each voxel of `shape` to the nearest true one; `near` is the box that holds them."""
    squared = np.where(near, np.float32(0), np.float32(np.inf))
    # Each pass widens its axis to the whole: the one with the shortest box comes last.
    for axis in sorted(range(near.ndim), key=lambda a: -near.shape[a]):
        planes = np.ascontiguousarray(np.moveaxis(squared, axis, 0))
        places = np.arange(shape[axis]) * spacing[axis]
        widened = _lowest(planes, places[slice(*box[axis])], places)
        squared = np.moveaxis(widened, 0, axis)
    return np.sqrt(squared)


def _lowest(planes: np.ndarray, own: np.ndarray, places: np.ndarray) -> np.ndarray:
    """At each place, the minimum over all planes of plane + (place - its own place) squared."""
    out = np.empty((len(places), *planes.shape[1:]), np.float32)
    step = max(1, _BLOCK // max(1, prod(planes.shape[1:])))
    narrow = (-1,) + (1,) * (planes.ndim - 1)
    for start in range(0, len(places), step):
        block = out[start : start + step]
        here = places[start : start + step]
        gaps = np.square(here[:, None] - own).astype(np.float32)
        least = gaps.min(axis=0)
        order = np.argsort(least, kind="stable")
        block[...] = np.inf
        spare = np.empty_like(block)
        for turn, j in enumerate(order):
            if turn % _LOOK == _LOOK - 1 and least[j] >= block.max():
                break
            np.add(planes[j], gaps[:, j].reshape(narrow), out=spare)
            np.minimum(block, spare, out=block)
    return out


def _size(box: Box) -> int:
    return prod(stop - start for start, stop in box)
