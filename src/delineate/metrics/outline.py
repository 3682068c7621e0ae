"""The surface voxels of all classes of an image in one pass.

A voxel of a class is on its surface when a face neighbour is not of that class. The image comes
with a margin of zeros, so beyond the edge of the scan is outside.
"""

from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["chunks", "split", "surface_voxels"]

CHUNK = 1 << 18
"""Voxels that are looked at in one go: they stay in the processor's cache."""


def surface_voxels(image: np.ndarray) -> dict[int, np.ndarray]:
    """Flat indices of the surface voxels by number, ascending; 0 has none."""
    flat = image.ravel()
    steps = [stride // image.itemsize for stride in image.strides]
    found = [_edges(flat, steps, start, stop) for start, stop in chunks(flat.size, max(steps))]
    points = np.concatenate(found) if found else np.empty(0, np.intp)
    return dict(split(flat[points], points))


def chunks(size: int, margin: int) -> Iterator[tuple[int, int]]:
    """Start and stop of pieces between the first and the last `margin` elements."""
    for start in range(margin, size - margin, CHUNK):
        yield start, min(start + CHUNK, size - margin)


def split(numbers: np.ndarray, *others: np.ndarray) -> Iterator[tuple]:
    """Each number with its elements of another array, or with a tuple for several."""
    # Stable sorting of small integers is a radix sort.
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers)
    stops = np.cumsum(counts)
    ordered = [other[order] for other in others]
    for number in np.flatnonzero(counts):
        part = slice(stops[number] - counts[number], stops[number])
        yield int(number), *(array[part] for array in ordered)


def _edges(flat: np.ndarray, steps: Sequence[int], start: int, stop: int) -> np.ndarray:
    own = flat[start:stop]
    edge = np.zeros(own.shape, bool)
    other = np.empty(own.shape, bool)
    for step in (s for size in steps for s in (-size, size)):
        edge |= np.not_equal(own, flat[start + step : stop + step], out=other)
    edge &= np.not_equal(own, 0, out=other)
    return np.flatnonzero(edge) + start
