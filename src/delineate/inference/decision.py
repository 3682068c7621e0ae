"""Scores that arrive slab by slab on the plan's grid become a mask on the scan's grid.

A row of the mask is decided as soon as the scores that it is interpolated from are there; what the
next rows still need of a slab, one or two rows, is kept until then. Scores are interpolated
linearly, block by block, so that neither all classes nor all voxels are ever on the scan's grid.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from delineate.data.interpolation import apply, used_columns, weights

__all__ = ["SCRATCH", "Decision", "Matrix", "mask_type", "matrices_of", "reach"]

Matrix = np.ndarray | None
"""(new, old) weights along one axis; None where old and new are the same."""

SCRATCH = 100_000_000
"""Bytes that deciding takes at most beside slab and mask."""

_BLOCK_VOXELS = {"cpu": 1 << 17, "cuda": 1 << 22}
"""What is decided at a time: on a CPU, what stays in its cache."""


def mask_type(channels: int) -> type[np.generic]:
    """The smallest type that holds the indices of so many channels."""
    return np.uint8 if channels <= 256 else np.int16


def matrices_of(
    old: Sequence[int], new: Sequence[int], *, separate_axis: int | None
) -> tuple[Matrix, ...]:
    """From one shape to another: linearly, but along `separate_axis` by nearest."""
    return tuple(
        None if a == b else weights(a, b, "nearest" if axis == separate_axis else "linear")
        for axis, (a, b) in enumerate(zip(old, new, strict=True))
    )


def reach(matrix: Matrix, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last old voxel that each of `size` new ones needs; both ascend."""
    if matrix is None:
        return np.arange(size), np.arange(size)
    used = matrix != 0
    return used.argmax(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)


class Decision:
    """Decides a box of a mask from slabs of scores.

    Args:
        out: What is decided, (*s) or (k, *s): a view of the mask, written in place.
        matrices: Per axis, from the box that the slabs are of to that of `out`.
        axis: Along which slabs come.
        threshold: None: the highest score wins. Otherwise a class is set where its score exceeds
            the threshold.
    """

    def __init__(
        self, out: np.ndarray, matrices: Sequence[Matrix], *, axis: int, threshold: float | None
    ) -> None:
        self.out = out
        self.matrices = tuple(matrices)
        self.axis = axis
        self.threshold = threshold
        self._shape = out.shape[-len(matrices) :]
        self._first, self._last = reach(matrices[axis], self._shape[axis])
        self._rows = _Rows(1 + axis)
        self._done = 0

    def take(self, start: int, slab: Tensor) -> None:
        """Decide what the next rows of scores (k, *s) complete; the slab is not needed afterwards.

        Slabs follow each other without gap; `start` is where this one begins.
        """
        self._rows.join(start, slab)
        stop = start + slab.shape[1 + self.axis]
        ready = int(np.searchsorted(self._last, stop))
        for block in self._blocks(self._done, ready):
            self._decide(block, len(slab))
        self._done = ready
        self._rows.keep(int(self._first[ready]) if ready < len(self._first) else stop, stop)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[slice, ...]]:
        """The new rows start..stop, cut along the first axis."""
        box = [slice(0, n) for n in self._shape]
        box[self.axis] = slice(start, stop)
        if start == stop:
            return
        first, *others = (s.stop - s.start for s in box)
        step = max(1, _BLOCK_VOXELS[self._rows.device] // prod(others))
        for low in range(box[0].start, box[0].start + first, step):
            yield (slice(low, min(low + step, box[0].stop)), *box[1:])

    def _decide(self, block: tuple[slice, ...], channels: int) -> None:
        parts = [_cut(m, rows) for m, rows in zip(self.matrices, block, strict=True)]
        cuts = [part for part, _ in parts]
        columns = tuple(used for _, used in parts)
        voxels = prod(s.stop - s.start for s in block)
        step = max(1, _BLOCK_VOXELS[self._rows.device] // voxels)
        chunks = (slice(c, min(c + step, channels)) for c in range(0, channels, step))
        scores = ((c, _interpolate(self._rows.at(c, columns), cuts)) for c in chunks)
        if self.threshold is None:
            self.out[block] = _highest(scores, self.out.dtype)
            return
        for chunk, found in scores:
            self.out[(chunk, *block)] = (found > self.threshold).cpu().numpy()


class _Part(NamedTuple):
    start: int
    scores: Tensor


class _Rows:
    """The rows that are at hand: the last ones of earlier slabs, and the slab that has come."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._parts: list[_Part] = []

    @property
    def device(self) -> str:
        """Where they are: 'cpu' or 'cuda'."""
        return self._parts[-1].scores.device.type

    def join(self, start: int, slab: Tensor) -> None:
        self._parts.append(_Part(start, slab))

    def at(self, channels: slice, columns: tuple[slice, ...]) -> Tensor:
        """Some rows of some channels: a view, or a copy where they lie in more than one part."""
        wanted = columns[self._dim - 1]
        found = []
        for start, scores in self._parts:
            low, high = max(wanted.start - start, 0), wanted.stop - start
            high = min(high, scores.shape[self._dim])
            if low < high:
                index: list[slice] = [channels, *columns]
                index[self._dim] = slice(low, high)
                found.append(scores[tuple(index)])
        return found[0] if len(found) == 1 else torch.cat(found, self._dim)

    def keep(self, start: int, stop: int) -> None:
        """Keep a copy of the rows start..stop, and nothing else."""
        if start >= stop:
            self._parts = []
            return
        shape = self._parts[-1].scores.shape
        whole = [slice(0, n) for n in shape[1:]]
        whole[self._dim - 1] = slice(start, stop)
        kept = self.at(slice(0, shape[0]), tuple(whole))
        self._parts = [_Part(start, kept.clone(memory_format=torch.contiguous_format))]


def _cut(matrix: Matrix, rows: slice) -> tuple[Matrix, slice]:
    """Some rows of a matrix, and the old voxels that they need."""
    if matrix is None:
        return None, rows
    columns = used_columns(matrix[rows])
    return matrix[rows, columns], columns


def _interpolate(scores: Tensor, matrices: Sequence[Matrix]) -> Tensor:
    scores = scores.float()
    if all(m is None for m in matrices):
        return scores
    if scores.device.type == "cpu":
        return torch.from_numpy(apply(scores.numpy(), list(matrices)))
    for axis, matrix in enumerate(matrices, 1):
        if matrix is not None:
            factor = torch.tensor(matrix, device=scores.device)
            scores = torch.tensordot(factor, scores.movedim(axis, 0), dims=1).movedim(0, axis)
    return scores


def _highest(scores: Iterator[tuple[slice, Tensor]], kind: np.dtype) -> np.ndarray:
    """The channel with the highest score, the lowest of equals."""
    _, first = next(scores)
    if first.device.type == "cpu":
        return _highest_by_numpy(chain((first,), (found for _, found in scores)), kind)
    best, winner = first.max(dim=0)
    for chunk, found in scores:
        value, index = found.max(dim=0)
        winner = torch.where(value > best, index + chunk.start, winner)
        best = torch.maximum(best, value)
    return winner.cpu().numpy()


def _highest_by_numpy(chunks: Iterator[Tensor], kind: np.dtype) -> np.ndarray:
    """The same, four times as fast on a processor: comparisons and products of whole registers."""
    classes = chain.from_iterable(chunk.numpy() for chunk in chunks)
    best = next(classes).copy()
    winner = np.zeros(best.shape, kind)
    better = np.empty(best.shape, bool)
    number = np.empty(best.shape, kind)
    for channel, score in enumerate(classes, 1):
        np.greater(score, best, out=better)
        # Channels ascend: the largest that was better than all before it is the highest.
        np.multiply(better.view(np.uint8), kind.type(channel), out=number)
        np.maximum(winner, number, out=winner)
        np.maximum(best, score, out=best)
    return winner
