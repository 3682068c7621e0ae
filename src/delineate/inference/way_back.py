"""Figures on the plan's grid brought to the scan's own grid, some rows at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from delineate.data import Prepared
from delineate.data.interpolation import apply, used_columns
from delineate.geometry import Box, slices
from delineate.inference.decision import matrices_of

__all__ = ["WayBack"]

Read = Callable[[tuple[slice, ...]], np.ndarray]

BLOCK_FIGURES = 1 << 23
"""Figures of all channels that are interpolated at a time; at least one row."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """From the plan's grid to the canonical grid of the scan, as masks go: linearly."""

    shape: tuple[int, ...]
    """On the plan's grid."""
    box: Box
    """What of the scan was kept."""
    source_shape: tuple[int, ...]
    """The canonical spatial shape of the scan."""
    separate_axis: int | None
    """The axis along which the nearest voxel is taken."""

    @classmethod
    def of(cls, prepared: Prepared) -> "WayBack":
        """The way back of a prepared scan, without its voxels."""
        return cls(prepared.shape, prepared.box, prepared.source_shape, prepared.separate_axis)

    def row_blocks(self, channels: int, axis: int = 0) -> Iterator[slice]:
        """All rows of the scan along an axis, so many at a time as fit in little memory."""
        size = self.source_shape[axis]
        step = max(1, BLOCK_FIGURES * size // (channels * prod(self.source_shape)))
        for start in range(0, size, step):
            yield slice(start, min(start + step, size))

    def bring(
        self, read: Read, rows: slice, axis: int = 0
    ) -> tuple[tuple[slice, ...], np.ndarray] | None:
        """What lies in some rows of the scan along an axis: where in those rows, and (k, *block).

        None where the rows lie outside the box: there, nothing was looked at.

        Args:
            read: Gives (k, *block) for a place on the plan's grid.
            rows: Of the scan.
            axis: Along which they are.
        """
        low, high = self.box[axis]
        start, stop = max(rows.start, low), min(rows.stop, high)
        if stop <= start:
            return None
        place = list(slices(self.box))
        place[axis] = slice(start - rows.start, stop - rows.start)
        new = tuple(b - a for a, b in self.box)
        matrices = list(matrices_of(self.shape, new, separate_axis=self.separate_axis))
        wanted = [slice(0, n) for n in self.shape]
        wanted[axis] = slice(start - low, stop - low)
        matrix = matrices[axis]
        if matrix is not None:
            columns = used_columns(matrix[wanted[axis]])
            matrices[axis], wanted[axis] = matrix[wanted[axis], columns], columns
        figures = read(tuple(wanted)).astype(np.float32, copy=False)
        return tuple(place), apply(figures, matrices)
