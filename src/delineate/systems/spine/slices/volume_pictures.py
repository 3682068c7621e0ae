"""The slices of a scan as grey pictures of 8 bits, as a radiologist sees them, and back.

Networks of this system look at pictures. A scan is cut across the axis along which it was acquired
slice by slice, and lies as a viewer shows it: of a sagittal slice anterior is on the left and
superior on top. Values of more than 8 bits are scaled once for the whole scan, so that its slices
stay comparable with each other.
"""

from typing import Literal, get_args

import numpy as np

from delineate.errors import ConfigError, DataError
from delineate.io import Header, Volume
from delineate.io.orient import closest_axes
from delineate.report.view import PLANES, Plane

__all__ = ["Cut", "choose_plane", "grey", "pictures_of", "to_volume"]

Cut = Literal["auto", "axial", "coronal", "sagittal"]
"""Which way a scan is cut; auto goes by how it was acquired."""
DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles of a scan that become black and white."""
THICKER = 1.2
"""By how much slices are thicker than pixels are wide, at least, in a scan made of slices."""


def choose_plane(scan: Header | Volume, wish: Cut = "auto", *, stacked: bool = False) -> Plane:
    """How a scan is cut.

    auto is across the axis of a single slice, or else across the one of the coarsest spacing; a
    scan of cubic voxels is cut sagittally, as the spine is looked at.

    Args:
        scan: What is to be cut.
        wish: One plane, or auto.
        stacked: Whether its third axis is known to count slices, as in a DICOM series.
    """
    if wish not in get_args(Cut):
        raise ConfigError(f"plane: '{wish}' is none of {', '.join(get_args(Cut))}.")
    names = {plane.name: plane for plane in PLANES}
    if wish != "auto":
        return names[wish]
    across = {plane.axis: plane for plane in PLANES}
    if stacked:
        grid = scan.grid if isinstance(scan, Header) else scan.source
        return across[closest_axes(grid).order.index(2)]
    if 1 in scan.shape:
        return across[scan.shape.index(1)]
    coarse, *rest = sorted(range(3), key=lambda axis: -scan.spacing[axis])
    thick = scan.spacing[coarse] > THICKER * scan.spacing[rest[0]]
    return across[coarse] if thick else names["sagittal"]


def pictures_of(volume: Volume, plane: Plane) -> np.ndarray:
    """All slices (n, rows, columns) uint8, in the order of the canonical axis that is cut."""
    if len(volume.shape) != 3 or len(volume.array) != 1:
        raise DataError(
            f"an image of shape {volume.array.shape} (channels first) is no scan of one channel. "
            "Fix: give one three-dimensional image per file."
        )
    return np.ascontiguousarray(_laid(grey(volume.array[0]), plane))


def to_volume(pictures: np.ndarray, plane: Plane) -> np.ndarray:
    """Pictures (n, rows, columns) of any type as the canonical array (*s) they were cut from."""
    assert plane.axis is not None
    return np.ascontiguousarray(np.moveaxis(pictures[:, ::-1, ::-1].swapaxes(1, 2), 0, plane.axis))


def grey(values: np.ndarray) -> np.ndarray:
    """Measured values as 0..255: between two percentiles, or untouched where they are 8 bits."""
    if values.dtype == np.uint8:
        return values
    known = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(known, (DARKEST, BRIGHTEST))
    if high <= low:
        # Nearly all of it is one value: what little differs is all that there is to see.
        low, high = known.min(), known.max()
    scaled = (known - low) * (255 / max(float(high - low), 1e-12))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _laid(array: np.ndarray, plane: Plane) -> np.ndarray:
    """(*s) as (n, rows, columns), up is up."""
    assert plane.axis is not None
    return np.moveaxis(array, plane.axis, 0).swapaxes(1, 2)[:, ::-1, ::-1]
