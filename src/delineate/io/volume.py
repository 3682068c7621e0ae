"""A scan in canonical axes, and the grid that it came from."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Grid", "Header", "Stored", "Volume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of a file lie: its own spatial axes, and the affine from them to RAS+ mm."""

    shape: tuple[int, ...]
    affine: np.ndarray
    """(4, 4), float64; pictures have the identity."""
    header: np.ndarray | None = None
    """The NIfTI header that the grid was read from: its sform, qform and units go into the mask."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm along each of the file's own axes."""
        return spacing_of(self.affine, len(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An image or a mask with its axes brought to RAS+; pictures keep (c, rows, columns)."""

    array: np.ndarray
    """(c, i, j[, k]) in canonical order; c of a mask is 1 or the number of overlapping classes."""
    affine: np.ndarray
    """(4, 4) of the canonical array."""
    source: Grid
    """The grid of the file, to which masks are written back."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape in canonical order."""
        return self.array.shape[1:]

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm along each canonical spatial axis."""
        return spacing_of(self.affine, self.array.ndim - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of a scan before its voxels are read."""

    grid: Grid
    """The file's own grid, as `Volume.source`."""
    shape: tuple[int, ...]
    """Spatial shape in canonical order."""
    affine: np.ndarray
    """(4, 4) of the canonical array."""
    channels: int
    dtype: np.dtype
    """Of the array that `read_volume` returns."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm along each canonical spatial axis."""
        return spacing_of(self.affine, len(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a file format hands over: voxels on the file's own axes, not yet scaled."""

    array: np.ndarray
    """(c, *grid.shape), any strides and byte order, read only or not."""
    grid: Grid
    scale: tuple[float, float] = (1.0, 0.0)
    """Slope and intercept: the value is stored * slope + intercept."""

    @property
    def dtype(self) -> np.dtype:
        """Of the values: native byte order; float32 where integers are scaled."""
        return value_dtype(self.array.dtype, self.scale)


def value_dtype(stored: np.dtype, scale: tuple[float, float]) -> np.dtype:
    """The type of the values that are stored as `stored` with that slope and intercept."""
    if scale != (1.0, 0.0) and stored.kind in "iu":
        return np.dtype(np.float32)
    return stored.newbyteorder("=")


def spacing_of(affine: np.ndarray, dims: int) -> tuple[float, ...]:
    """The length in mm of a step along each of the first `dims` axes."""
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return tuple(lengths[:dims].tolist())
