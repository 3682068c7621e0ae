"""From a file's own axes to canonical RAS+ axes and back: permuted and flipped, never resampled.

The choice of axes is that of nibabel's `as_closest_canonical`: an oblique scan stays oblique, in
its affine. Pictures (two spatial axes) stay as they are: rows, columns.
"""

from typing import NamedTuple

import numpy as np

from delineate.io.volume import Grid, Header, Stored, Volume

__all__ = [
    "Axes",
    "canonical",
    "canonical_header",
    "closest_axes",
    "contiguous",
    "on_source_axes",
    "to_source",
    "walk",
]


class Axes(NamedTuple):
    """How the axes of a file become canonical."""

    order: tuple[int, ...]
    """order[a] is the file's axis that becomes canonical axis a."""
    flips: tuple[bool, ...]
    """flips[a] says that canonical axis a runs against the file's."""


def canonical(stored: Stored) -> Volume:
    """The scan with contiguous voxels in RAS+ order, scaled, in native byte order."""
    axes = closest_axes(stored.grid)
    view = stored.array.transpose(0, *(axis + 1 for axis in axes.order))
    view = view[:, *walk(axes)]
    array = contiguous(view, stored.dtype, scale=stored.scale)
    return Volume(array=array, affine=_canonical_affine(stored.grid, axes), source=stored.grid)


def canonical_header(grid: Grid, channels: int, dtype: np.dtype) -> Header:
    """The facts of a scan on `grid` as `canonical` would bring it."""
    axes = closest_axes(grid)
    shape = tuple(grid.shape[axis] for axis in axes.order)
    affine = _canonical_affine(grid, axes)
    return Header(grid=grid, shape=shape, affine=affine, channels=channels, dtype=dtype)


def to_source(array: np.ndarray, like: Volume) -> np.ndarray:
    """A canonical array, (*s) or (k, *s), on the axes of the file that `like` was read from."""
    with_channels = array if array.ndim > len(like.shape) else array[None]
    view = on_source_axes(with_channels, like)
    return np.ascontiguousarray(view if with_channels is array else view[0])


def on_source_axes(array: np.ndarray, like: Volume) -> np.ndarray:
    """A view of a canonical array (k, *s) on the axes of the file that `like` was read from."""
    if array.ndim != len(like.shape) + 1 or array.shape[1:] != like.shape:
        raise ValueError(
            f"an array of spatial shape {array.shape[1:]} cannot go back to the grid of a scan of "
            f"shape {like.shape} (canonical axes)"
        )
    axes = closest_axes(like.source)
    order = [axes.order.index(axis) + 1 for axis in range(len(axes.order))]
    return array[:, *walk(axes)].transpose(0, *order)


def contiguous(
    view: np.ndarray, dtype: np.dtype, *, scale: tuple[float, float] = (1.0, 0.0)
) -> np.ndarray:
    """A C-ordered copy of (c, *s) in `dtype`, each value times slope plus intercept.

    Scaling is done in float64 and rounded once.
    """
    out = np.empty(view.shape, dtype)
    slope, intercept = np.float64(scale[0]), np.float64(scale[1])
    for part in _slabs(view):
        if scale == (1.0, 0.0):
            out[part] = view[part]
        else:
            out[part] = view[part] * slope + intercept
    return out


def _slabs(view: np.ndarray) -> list[tuple[slice | int, ...]]:
    """Pieces to copy one by one so that both sides of a transposing copy stay in the CPU's cache.

    numpy walks a whole volume along one side's fastest axis and misses the cache on the other at
    every step; planes across the axis that is fastest on neither side take half the time.
    """
    fastest = int(np.argmin(np.abs(view.strides)))
    between = [axis for axis in range(1, view.ndim - 1) if axis != fastest]
    if not between:
        return [(slice(None),)]
    axis = max(between, key=lambda a: view.shape[a])
    return [(*(slice(None),) * axis, index) for index in range(view.shape[axis])]


def closest_axes(grid: Grid) -> Axes:
    """The way that turns each axis of a file to the canonical one that it is nearest to."""
    if len(grid.shape) != 3:
        count = len(grid.shape)
        return Axes(tuple(range(count)), (False,) * count)
    directions = _rotation(grid.affine)
    to_world: dict[int, int] = {}
    # The most decided axes choose first; ties go by the file's order.
    for axis in np.argsort(-(directions**2).max(axis=0), kind="stable").tolist():
        free = [world for world in range(3) if world not in to_world.values()]
        to_world[axis] = max(free, key=lambda world: abs(directions[world, axis]))
    order = tuple(sorted(range(3), key=lambda axis: to_world[axis]))
    flips = tuple(bool(directions[world, axis] < 0) for world, axis in enumerate(order))
    return Axes(order, flips)


def _rotation(affine: np.ndarray) -> np.ndarray:
    """The rotation nearest to the affine: what is left without spacing and shear."""
    matrix = affine[:3, :3]
    left, _, right = np.linalg.svd(matrix / np.sqrt((matrix**2).sum(axis=0)))
    return left @ right


def walk(axes: Axes) -> tuple[slice, ...]:
    """Which way each axis is walked: backwards where it runs against the other grid's."""
    return tuple(slice(None, None, -1) if flip else slice(None) for flip in axes.flips)


def _canonical_affine(grid: Grid, axes: Axes) -> np.ndarray:
    """The affine of canonical indices: columns in the new order, the origin in the new corner."""
    affine = grid.affine.copy()
    for axis, (old, flip) in enumerate(zip(axes.order, axes.flips, strict=True)):
        column = grid.affine[:, old]
        affine[:, axis] = -column if flip else column
        if flip:
            affine[:, 3] += column * (grid.shape[old] - 1)
    return affine
