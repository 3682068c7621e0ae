"""A scan in canonical axes, and the grid that it came from."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Grid", "Volume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of a file lie: spatial shape in the file's own axis order, affine to RAS+ mm."""

    shape: tuple[int, ...]
    affine: np.ndarray
    """(4, 4), float64; pictures have the identity."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm along each of the file's own axes."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(v) for v in lengths[: len(self.shape)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """An image or a mask with its axes brought to RAS+; pictures keep (c, rows, columns)."""

    array: np.ndarray
    """(c, i, j[, k]) in canonical order; for a mask, c is 1 or the number of overlapping classes."""
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
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(v) for v in lengths[: self.array.ndim - 1])
