"""Writing masks and images back onto the grid and the axes of the file that they came from."""

from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io import hdf5, itk, nifti, picture
from delineate.io.mask import smallest_type
from delineate.io.orient import on_source_axes
from delineate.io.paths import HDF5, NIFTI, atomic_path
from delineate.io.volume import Volume

__all__ = ["WRITABLE", "write_image", "write_mask"]

_WRITERS = {
    **dict.fromkeys(NIFTI, nifti.write),
    **dict.fromkeys((".nrrd", ".mha"), itk.write),
    **dict.fromkeys((".png", ".tif", ".tiff"), picture.write),
}
WRITABLE = (*_WRITERS, *HDF5)
"""Suffixes that can be written."""


def write_mask(path: str | Path, array: np.ndarray, like: Volume) -> None:
    """Write ids (*s) or overlapping classes (k, *s) in the smallest type, on the source's grid."""
    with_channels = array if array.ndim > len(like.shape) else array[None]
    _write(Path(path), smallest_type(with_channels), like, name="mask")


def write_image(path: str | Path, array: np.ndarray, like: Volume) -> None:
    """Write (c, *s) as it is, on the source's own grid; half floats become single."""
    if array.dtype in (np.float16, np.bool_):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.uint8)
    _write(Path(path), array, like, name="image")


def _write(path: Path, array: np.ndarray, like: Volume, *, name: str) -> None:
    suffix = next((s for s in WRITABLE if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise DataError(
            f"{path}: this kind of file is not written. Can be written: {' '.join(WRITABLE)}."
        )
    view = on_source_axes(array, like)
    with atomic_path(path) as part:
        if suffix in HDF5:
            hdf5.write(part, view, like.source, name=name)
        else:
            _WRITERS[suffix](part, view, like.source)
