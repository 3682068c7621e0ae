"""A scan cut into tiles across the axis that is streamed along, so that less is summed at a time.

Tiles are boxes of the mask. The scores that one is interpolated from reach a voxel or two into its
neighbours, and all windows that touch those are predicted for it: each tile comes out as if there
were no others, and the price is that windows over an edge are predicted more than once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np

from delineate.geometry import Box
from delineate.inference.decision import Matrix, reach
from delineate.inference.lines import Line

__all__ = ["Tile", "Tiling", "tilings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One box of the mask, and what it is made of."""

    target: Box
    """Voxels of the mask within the crop."""
    box: Box
    """Voxels of the plan's grid whose scores it needs."""
    own: Box
    """Those that no other tile counts as its own; together they are the whole grid."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What a tile is along one axis."""

    target: tuple[int, int]
    box: tuple[int, int]
    own: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """All tiles of a scan, and what they cost."""

    stretches: tuple[tuple[_Stretch, ...], ...]
    """Per axis."""
    row: int
    """Voxels of one row of the largest tile, across the streamed axis."""
    work: float
    """Windows to predict, as a multiple of those of the scan in one tile."""

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Every combination of the stretches."""
        return tuple(_tile(parts) for parts in product(*self.stretches))


def tilings(
    lines: Sequence[Line],
    matrices: Sequence[Matrix],
    *,
    axis: int,
    old: tuple[int, ...],
    new: tuple[int, ...],
) -> Iterator[Tiling]:
    """Ways to cut the other axes at the beginnings of windows, the whole scan first.

    Args:
        lines: The windows along each axis.
        matrices: From the plan's grid to the mask's, per axis.
        axis: The streamed one: it is never cut.
        old: The shape on the plan's grid.
        new: That of the mask, within the crop.
    """
    choices = []
    for a, (line, matrix) in enumerate(zip(lines, matrices, strict=True)):
        numbers = [1] if a == axis else _numbers(len(line.starts))
        cuts = (_stretches(line, matrix, old[a], new[a], n) for n in numbers)
        choices.append([(found, *_cost(line, found)) for found in cuts])
    for chosen in product(*choices):
        yield Tiling(
            stretches=tuple(found for found, _, _ in chosen),
            row=prod(width for a, (_, width, _) in enumerate(chosen) if a != axis),
            work=prod(work for _, _, work in chosen),
        )


def _numbers(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12 ... and the most: enough to choose from."""
    found = {1, most}
    for power in range(most.bit_length()):
        found |= {n for n in (2**power, 3 * 2**power) if n < most}
    return sorted(found)


def _tile(parts: tuple[_Stretch, ...]) -> Tile:
    return Tile(
        target=tuple(part.target for part in parts),
        box=tuple(part.box for part in parts),
        own=tuple(part.own for part in parts),
    )


def _cost(line: Line, stretches: tuple[_Stretch, ...]) -> tuple[int, float]:
    """The width of the widest, and how often a window is predicted on average."""
    windows = sum(len(line.touching(*part.box)) for part in stretches)
    return max(b - a for a, b in (part.box for part in stretches)), windows / len(line.starts)


def _stretches(line: Line, matrix: Matrix, old: int, new: int, number: int) -> tuple[_Stretch, ...]:
    """At most `number` stretches of one axis, which end where a window begins."""
    first, last = reach(matrix, new)
    begins = [line.starts[round(i * len(line.starts) / number)] for i in range(1, number)]
    # What ends before a window begins is none of its business.
    edges = sorted({0, *(int(np.searchsorted(last, begin)) for begin in begins), new})
    found = []
    shown = 0
    for low, high in pairwise(edges):
        stop = old if high == new else int(last[high - 1]) + 1
        start = min(int(first[low]), shown) if low else 0
        found.append(_Stretch((low, high), (start, stop), (shown, stop)))
        shown = stop
    return tuple(found)
