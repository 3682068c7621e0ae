"""The exact distance from points on a grid to the nearest of others, looked for close by first.

Most surfaces of a prediction lie within a few voxels of the true ones. So the goal is marked on a
board, and each point looks at the places around it, nearest first, until it meets a mark: a few
bytes that lie in the processor's cache. What is still alone after some hundred places asks a k-d
tree. Both ways are exact.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np

__all__ = ["Board", "Ring", "nearest", "reach", "rings"]

FARTHEST = 8
"""Voxels along an axis that are looked at."""
PLACES = 257
"""How many places are looked at before a tree is grown: all within 4 voxels on an even grid."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Steps of one length."""

    length_mm: float
    steps: np.ndarray
    """(number, axes) voxels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A grid with a margin as wide as the rings; points are flat indices into it."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    marks: np.ndarray
    """Flat, bool, all False between two calls."""
    margin: int
    """The flat index of the first point that is not in the margin."""
    looks: tuple[tuple[float, tuple[int, ...]], ...]
    """By length in mm: the flat steps of a ring, from the corner of the margin."""

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: tuple[float, ...]) -> "Board":
        """An empty board; `shape` includes the margin."""
        strides = np.cumprod((1, *shape[:0:-1]))[::-1]
        margin = int(np.dot(reach(spacing), strides))
        return cls(
            shape=shape,
            spacing=spacing,
            marks=np.zeros(int(np.prod(shape)), bool),
            margin=margin,
            looks=tuple(
                (ring.length_mm, tuple((ring.steps @ strides + margin).tolist()))
                for ring in rings(spacing)
            ),
        )

    def places_mm(self, points: np.ndarray) -> np.ndarray:
        """(number, axes) of flat indices."""
        return np.stack(np.unravel_index(points, self.shape), -1) * np.asarray(self.spacing)


def nearest(start: np.ndarray, goal: np.ndarray, board: Board) -> np.ndarray:
    """mm from each point of `start` to the nearest of `goal`, which is not empty."""
    found = np.zeros(len(start))
    marks = board.marks
    marks[goal] = True
    # Steps go back too: all are counted from the corner of the margin.
    left, alone = np.arange(len(start)), start - board.margin
    for length_mm, (first, *others) in board.looks:
        if not len(alone):
            break
        met = marks[first:].take(alone)
        for step in others:
            met |= marks[step:].take(alone)
        found[left[met]] = length_mm
        np.logical_not(met, out=met)
        left, alone = left[met], alone[met]
    marks[goal] = False
    if len(left):
        found[left] = _by_tree(start[left], goal, board)
    return found


@lru_cache(maxsize=64)
def rings(spacing: tuple[float, ...]) -> tuple[Ring, ...]:
    """All steps up to some length, shortest first; the first is none."""
    line = np.arange(-FARTHEST, FARTHEST + 1)
    steps = np.stack([a.ravel() for a in np.meshgrid(*[line] * len(spacing), indexing="ij")], -1)
    # Rounded, so that steps of one length are found equal.
    lengths = np.linalg.norm(steps * np.asarray(spacing), axis=1).round(9)
    complete = lengths < (FARTHEST + 1) * min(spacing)
    steps, lengths = steps[complete], lengths[complete]
    order = np.argsort(lengths, kind="stable")
    wanted = order[lengths[order] <= lengths[order][: PLACES + 1][-1]]
    return tuple(
        Ring(float(np.linalg.norm(steps[same[0]] * np.asarray(spacing))), steps[same])
        for same in (list(group) for _, group in groupby(wanted, key=lambda i: lengths[i]))
    )


@lru_cache(maxsize=64)
def reach(spacing: tuple[float, ...]) -> tuple[int, ...]:
    """How many voxels the rings go along each axis, at least 1."""
    farthest = np.concatenate([ring.steps for ring in rings(spacing)]).max(0)
    return tuple(max(1, int(n)) for n in farthest)


def _by_tree(start: np.ndarray, goal: np.ndarray, board: Board) -> np.ndarray:
    from scipy.spatial import KDTree

    tree = KDTree(board.places_mm(goal), balanced_tree=False, compact_nodes=False)
    return tree.query(board.places_mm(start))[0]
