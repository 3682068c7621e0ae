"""Where the structures of a mask are: a seeded sample of voxels per class, for drawing patches.

A voxel drawn evenly from a class nearly always lies in its largest piece: one large lesion hides
fifty small ones. A piece drawn evenly is as often a speck of noise as the organ. Between the two,
the sample gives each connected piece a share of rows that grows with the square root of its voxels:
a piece a hundred times larger comes ten times as often.
"""

from collections.abc import Mapping
from zlib import crc32

import numpy as np

__all__ = ["find_foreground", "rows_of"]

_MOST_PER_CLASS = 10_000


def find_foreground(
    mask: np.ndarray, *, overlapping: bool, case: str
) -> tuple[np.ndarray, dict[int, int], dict[int, int]]:
    """(n, 1 + d) channel and place of about 10,000 voxels per channel; voxels found; rows of each.

    A row drawn evenly is a place drawn fairly (see above); to this end voxels of small pieces may
    come more than once. Background (unless masks overlap) and ignored voxels are left out. The same
    case gives the same sample on every machine.
    """
    rng = np.random.default_rng(crc32(case.encode()))
    shape = mask.shape[1:] if overlapping else mask.shape
    found = _of_layers(mask) if overlapping else _of_indices(mask)
    kept = {channel: _sample(places, shape, rng) for channel, places in found.items()}
    rows = [
        np.column_stack([np.full(len(places), channel), *np.unravel_index(places, shape)])
        for channel, places in kept.items()
    ]
    kind = np.uint16 if max(*shape, *kept, 0) < 2**16 else np.uint32
    table = np.concatenate(rows).astype(kind) if rows else np.zeros((0, 1 + len(shape)), kind)
    counts = {channel: len(places) for channel, places in found.items()}
    return table, counts, {channel: len(places) for channel, places in kept.items()}


def rows_of(sampled: Mapping[int, int], channel: int) -> tuple[int, int]:
    """The first row of a channel in the table of `find_foreground`, and the row after its last."""
    start = sum(count for other, count in sampled.items() if other < channel)
    return start, start + sampled[channel]


def _of_layers(mask: np.ndarray) -> dict[int, np.ndarray]:
    found = {channel: np.flatnonzero(layer) for channel, layer in enumerate(mask)}
    return {channel: places for channel, places in found.items() if len(places)}


def _of_indices(mask: np.ndarray) -> dict[int, np.ndarray]:
    """Flat places of every channel, ascending, in one pass however many channels there are."""
    places = np.flatnonzero(mask > 0)
    channels = mask.ravel()[places]
    order = np.argsort(channels, kind="stable")
    counts = np.bincount(channels)
    ends = np.cumsum(counts)
    return {int(c): places[order[ends[c] - counts[c] : ends[c]]] for c in np.flatnonzero(counts)}


def _sample(places: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Flat places, ascending: as many of each piece as is its due."""
    total = min(len(places), _MOST_PER_CLASS)
    pieces = _pieces(places, shape)
    due = np.sqrt([len(piece) for piece in pieces])
    due = np.maximum(1, np.round(total * due / due.sum())).astype(int)
    drawn = [_draw(piece, count, rng) for piece, count in zip(pieces, due, strict=True)]
    return np.sort(np.concatenate(drawn))


def _draw(piece: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Every place as often as the others, or once more."""
    whole, rest = divmod(count, len(piece))
    more = rng.choice(piece, rest, replace=False, shuffle=False) if rest else piece[:0]
    return np.concatenate([np.tile(piece, whole), more])


def _pieces(places: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The places by connected piece; voxels that share a corner are connected."""
    from scipy.ndimage import label

    found = np.unravel_index(places, shape)
    low = [int(axis.min()) for axis in found]
    inside = tuple(axis - start for axis, start in zip(found, low, strict=True))
    filled = np.zeros([int(axis.max()) + 1 for axis in inside], bool)
    filled[inside] = True
    numbered = np.zeros(filled.shape, np.int32)
    label(filled, np.ones((3,) * len(shape)), output=numbered)
    numbers = numbered[inside]
    order = np.argsort(numbers, kind="stable")
    return np.split(places[order], np.cumsum(np.bincount(numbers)[1:])[:-1])
