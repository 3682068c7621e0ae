"""Images, masks and scores brought to another number of voxels over the same field of view.

Images are interpolated by cubic B-splines; there is no smoothing before an axis shrinks. Masks and
scores are interpolated linearly, class by class, and the largest wins, so the memory needed does
not grow with the number of classes. An axis with long voxels can be kept apart (`separate_axis`):
along it the nearest voxel is taken.
"""

from collections.abc import Iterator
from math import prod

import numpy as np

from delineate.data.interpolation import Kind, apply, used_columns, weights
from delineate.geometry import bounding_box, slices

__all__ = ["decide", "resample", "resample_mask", "resample_scores"]

_SLAB_VOXELS = 1 << 21


def resample(
    array: np.ndarray, shape: tuple[int, ...], *, separate_axis: int | None = None
) -> np.ndarray:
    """An image (c, *s) at a new spatial shape, float32, by cubic B-splines."""
    matrices = _matrices(array.shape[1:], shape, "cubic", separate_axis)
    return apply(array.astype(np.float32, copy=False), matrices)


def resample_scores(
    scores: np.ndarray, shape: tuple[int, ...], *, separate_axis: int | None = None
) -> np.ndarray:
    """Probabilities or logits (k, *s) at a new spatial shape, float32, linearly."""
    matrices = _matrices(scores.shape[1:], shape, "linear", separate_axis)
    return apply(scores.astype(np.float32, copy=False), matrices)


def resample_mask(
    mask: np.ndarray, shape: tuple[int, ...], *, separate_axis: int | None = None
) -> np.ndarray:
    """A mask at a new spatial shape: channel indices (*s), -1 included, or layers (k, *s).

    Each index takes the share of a voxel that linear interpolation gives it; the largest share
    wins, and between equals the higher index, so that small structures do not fade. A layer, which
    may overlap others, is set where its share is at least one half.
    """
    matrices = _matrices(mask.shape[-len(shape) :], shape, "linear", separate_axis)
    if all(m is None for m in matrices):
        return mask
    if mask.ndim == len(shape):
        return _largest_share(mask, shape, matrices)
    out = np.zeros((len(mask), *shape), mask.dtype)
    for layer, target in zip(mask, out, strict=True):
        for box, share in _share(layer != 0, matrices):
            target[box] = share >= 0.5 - _ROUNDING
    return out


def decide(
    scores: np.ndarray,
    shape: tuple[int, ...],
    *,
    threshold: float | None,
    separate_axis: int | None = None,
) -> np.ndarray:
    """Scores (k, *s) to a mask at a new spatial shape, without ever holding all scores there.

    Args:
        scores: Logits or probabilities, of any floating type.
        shape: The spatial shape of the result.
        threshold: None where the classes exclude each other: the highest score wins, and the result
            is (*s) channel indices. Otherwise each class is set where its score exceeds the
            threshold, and the result is (k, *s) 0/1.
        separate_axis: The axis along which the nearest voxel is taken.
    """
    first, *rest = _matrices(scores.shape[1:], shape, "linear", separate_axis)
    if threshold is None:
        out = np.zeros(shape, np.int8 if len(scores) <= 128 else np.int16)
    else:
        out = np.zeros((len(scores), *shape), np.int8)
    step = max(1, _SLAB_VOXELS // max(1, prod(shape[1:])))
    for start in range(0, shape[0], step):
        rows = slice(start, min(start + step, shape[0]))
        cut, columns = _cut_rows(first, rows)
        slab = (apply(s[columns].astype(np.float32, copy=False), [cut, *rest]) for s in scores)
        if threshold is None:
            _write_highest(slab, out[rows])
        else:
            for layer, score in zip(out, slab, strict=True):
                layer[rows] = score > threshold
    return out


# Shares are sums of float32 weights: an exact half can come out this much too small.
_ROUNDING = 1e-5


def _matrices(
    old: tuple[int, ...], new: tuple[int, ...], kind: Kind, separate_axis: int | None
) -> list[np.ndarray | None]:
    if len(old) != len(new):
        raise ValueError(
            f"the array has {len(old)} spatial axes, the new shape {new} has {len(new)}"
        )
    return [
        None if a == b else weights(a, b, "nearest" if axis == separate_axis else kind)
        for axis, (a, b) in enumerate(zip(old, new, strict=True))
    ]


def _cut_rows(matrix: np.ndarray | None, rows: slice) -> tuple[np.ndarray | None, slice]:
    """Some rows of a matrix, and the source voxels that they need."""
    if matrix is None:
        return None, rows
    columns = used_columns(matrix[rows])
    return matrix[rows, columns], columns


def _write_highest(scores: Iterator[np.ndarray], out: np.ndarray) -> None:
    best = next(scores)
    for channel, score in enumerate(scores, 1):
        np.copyto(out, channel, where=score > best)
        best = np.maximum(best, score)


def _largest_share(
    mask: np.ndarray, shape: tuple[int, ...], matrices: list[np.ndarray | None]
) -> np.ndarray:
    """The index with the largest share; background has what the others leave over."""
    out = np.zeros(shape, mask.dtype)
    best = np.zeros(shape, np.float32)
    background = np.ones(shape, np.float32)
    for index in _indices(mask):
        for box, share in _share(mask == index, matrices):
            background[box] -= share
            wins = (share > 0) & (share >= best[box] - _ROUNDING)
            np.copyto(out[box], index, where=wins)
            np.copyto(best[box], share, where=wins)
    out[background > best + _ROUNDING] = 0
    return out


def _indices(mask: np.ndarray) -> list[int]:
    """The values of a mask but 0, ascending: one pass, where np.unique would sort."""
    low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
    seen = np.zeros(high - low + 1, bool)
    seen[np.subtract(mask, low, dtype=np.int32)] = True
    return [int(v) + low for v in np.flatnonzero(seen) if v + low != 0]


def _share(
    filled: np.ndarray, matrices: list[np.ndarray | None]
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Where in the result a structure has a share, and that share; nothing if it vanishes."""
    box = bounding_box(filled)
    if box is None:
        return
    target: list[slice] = []
    parts: list[np.ndarray | None] = []
    for matrix, (start, stop) in zip(matrices, box, strict=True):
        if matrix is None:
            target.append(slice(start, stop))
            parts.append(None)
            continue
        touched = np.flatnonzero(matrix[:, start:stop].any(axis=1))
        if len(touched) == 0:
            return
        rows = slice(int(touched[0]), int(touched[-1]) + 1)
        target.append(rows)
        parts.append(matrix[rows, start:stop])
    yield tuple(target), apply(filled[slices(box)].astype(np.float32), parts)
