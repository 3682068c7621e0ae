"""Where the structures of a mask are: a seeded sample of voxels per class, for drawing patches."""

from zlib import crc32

import numpy as np

__all__ = ["by_channel", "find_foreground"]

_MOST_PER_CLASS = 10_000


def find_foreground(
    mask: np.ndarray, *, overlapping: bool, case: str
) -> tuple[np.ndarray, dict[int, int], dict[int, int]]:
    """(n, 1 + d) channel and place of at most 10,000 voxels per channel; voxels found; voxels kept.

    Background (unless masks overlap) and ignored voxels are left out. The same case gives the same
    sample on every machine.
    """
    rng = np.random.default_rng(crc32(case.encode()))
    shape = mask.shape[1:] if overlapping else mask.shape
    found = _of_layers(mask) if overlapping else _of_indices(mask)
    kept = {channel: _sample(places, rng) for channel, places in found.items()}
    rows = [
        np.column_stack([np.full(len(places), channel), *np.unravel_index(places, shape)])
        for channel, places in kept.items()
    ]
    kind = np.uint16 if max(*shape, *kept, 0) < 2**16 else np.uint32
    table = np.concatenate(rows).astype(kind) if rows else np.zeros((0, 1 + len(shape)), kind)
    counts = {channel: len(places) for channel, places in found.items()}
    return table, counts, {channel: len(places) for channel, places in kept.items()}


def by_channel(table: np.ndarray, sampled: dict[int, int]) -> dict[int, np.ndarray]:
    """The places (n, d) of each channel, out of the table of `find_foreground`."""
    places, start = {}, 0
    for channel, count in sorted(sampled.items()):
        places[channel] = table[start : start + count, 1:]
        start += count
    return places


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


def _sample(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(places) <= _MOST_PER_CLASS:
        return places
    chosen = rng.choice(len(places), _MOST_PER_CLASS, replace=False, shuffle=False)
    return places[np.sort(chosen)]
