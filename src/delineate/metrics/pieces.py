"""Connected pieces of all classes of an image at once, from runs of equal voxels.

A run is a stretch of one number along the last axis. Runs of neighbouring lines that meet are of
one piece; a graph of the runs, far fewer than voxels, gives the pieces and their sizes.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

__all__ = ["Pieces", "pieces_of", "shared_voxels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The runs of an image with a margin of one voxel, in order, and the pieces they belong to."""

    starts: np.ndarray
    """The flat index of the first voxel of each run."""
    stops: np.ndarray
    numbers: np.ndarray
    """The number that each run has in the image."""
    piece: np.ndarray
    """The piece that each run belongs to."""
    sizes: np.ndarray
    """Voxels of each piece."""
    classes: np.ndarray
    """The number that each piece has in the image."""


def pieces_of(image: np.ndarray, connectivity: int) -> Pieces:
    """The pieces of every positive number.

    Args:
        connectivity: Along how many axes at once the neighbours of a voxel may differ.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    padded = np.pad(image, 1)
    starts, stops, numbers = _runs(padded.ravel())
    strides = [stride // padded.itemsize for stride in padded.strides]
    edges = [
        _meetings(starts, stops, starts + step - wider, stops + step + wider)
        for step, wider in _neighbour_lines(strides, connectivity)
    ]
    one, other = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    same = numbers[one] == numbers[other]
    one, other = one[same], other[same]
    graph = coo_array((np.ones(len(one), bool), (one, other)), (len(starts), len(starts)))
    number, piece = connected_components(graph, directed=False)
    classes = np.zeros(number, np.intp)
    classes[piece] = numbers
    sizes = np.bincount(piece, stops - starts, minlength=number).astype(np.int64)
    return Pieces(
        starts=starts, stops=stops, numbers=numbers, piece=piece, sizes=sizes, classes=classes
    )


def shared_voxels(first: Pieces, second: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of pieces of one number in two images of one shape, and how many voxels they share."""
    ours, theirs = _meetings(second.starts, second.stops, first.starts, first.stops)
    same = first.numbers[ours] == second.numbers[theirs]
    ours, theirs = ours[same], theirs[same]
    voxels = np.minimum(first.stops[ours], second.stops[theirs]) - np.maximum(
        first.starts[ours], second.starts[theirs]
    )
    # A pair of pieces is one number, so that a sort finds which pairs there are.
    width = max(1, len(second.sizes))
    codes = first.piece[ours].astype(np.int64) * width + second.piece[theirs]
    pairs, place = np.unique(codes, return_inverse=True)
    return pairs // width, pairs % width, np.bincount(place, voxels, minlength=len(pairs))


def _runs(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, stop and number of each run of a positive number; the margin ends every line."""
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    stops = np.append(starts[1:], flat.size)
    numbers = flat[starts]
    kept = numbers > 0
    return starts[kept], stops[kept], numbers[kept].astype(np.intp)


def _neighbour_lines(strides: list[int], connectivity: int) -> list[tuple[int, int]]:
    """Flat steps to the lines on one side, and by how much runs there may lie apart."""
    lines = []
    for steps in product((-1, 0, 1), repeat=len(strides) - 1):
        differing = sum(step != 0 for step in steps)
        # The lines on the other side find the same pairs.
        if steps > (0,) * len(steps) and differing <= connectivity:
            step = sum(a * b for a, b in zip(steps, strides, strict=False))
            lines.append((step, int(differing < connectivity)))
    return lines


def _meetings(
    starts: np.ndarray, stops: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the stretches low..high meet which of the runs, as two indices a pair."""
    first = np.searchsorted(stops, low, side="right")
    number = np.maximum(np.searchsorted(starts, high, side="left") - first, 0)
    own = np.repeat(np.arange(len(low)), number)
    # Counts up from `first` for each stretch.
    ahead = np.cumsum(number) - number
    return own, np.arange(len(own)) + np.repeat(first - ahead, number)
