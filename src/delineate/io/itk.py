"""NRRD and MetaImage through SimpleITK; its LPS millimetres become RAS+.

Components of a vector image, and a fourth axis, are channels. Two-dimensional files are volumes of
one slice, since they lie in space.
"""

from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io.paths import missing
from delineate.io.volume import Grid, Stored

__all__ = ["read", "read_header", "write"]

_TYPES = {
    "UInt8": "u1", "Int8": "i1", "UInt16": "u2", "Int16": "i2", "UInt32": "u4", "Int32": "i4",
    "UInt64": "u8", "Int64": "i8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: str) -> Stored:
    """All voxels and where they lie."""
    import SimpleITK

    grid, channels, _ = read_header(path)
    try:
        image = SimpleITK.ReadImage(path)
    except RuntimeError as error:
        raise _broken(path, error) from None
    voxels = SimpleITK.GetArrayFromImage(image)
    # ITK's arrays run (t, z, y, x, component).
    if image.GetNumberOfComponentsPerPixel() == 1:
        voxels = voxels[..., None]
    spatial = min(image.GetDimension(), 3)
    voxels = voxels.reshape(-1, *voxels.shape[-spatial - 1 :])
    array = np.moveaxis(voxels, -1, 1).reshape(channels, *grid.shape[::-1])
    return Stored(array=array.transpose(0, 3, 2, 1), grid=grid)


def read_header(path: str) -> tuple[Grid, int, np.dtype]:
    """Grid, channels and value type, without the voxels."""
    import SimpleITK

    if not Path(path).exists():
        raise missing(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _broken(path, error) from None
    size = reader.GetSize()
    channels = reader.GetNumberOfComponents() * int(np.prod(size[3:]))
    return Grid(shape=(*size, 1)[:3], affine=_affine(reader, path)), channels, _dtype(reader, path)


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write (c, *grid.shape), compressed; several channels become the components of a vector."""
    import SimpleITK

    volume = array if len(grid.shape) == 3 else array[..., None]
    several = len(volume) > 1
    voxels = volume.transpose(3, 2, 1, 0) if several else volume[0].transpose(2, 1, 0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels), isVector=several)
    affine = _LPS_TO_RAS @ grid.affine
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def _affine(reader: Any, path: str) -> np.ndarray:
    """Of the first three axes; a missing third axis is the normal of the first two."""
    dims = reader.GetDimension()
    direction = np.eye(4)
    direction[:dims, :dims] = np.array(reader.GetDirection()).reshape(dims, dims)
    affine = np.eye(4)
    affine[:3, :3] = direction[:3, :3] * (*reader.GetSpacing(), 1.0, 1.0)[:3]
    affine[:3, 3] = (*reader.GetOrigin(), 0.0, 0.0)[:3]
    if not np.isfinite(affine).all() or abs(np.linalg.det(direction[:3, :3])) < 1e-6:
        raise DataError(f"{path}: the axes do not span space:\n{affine[:3]}")
    return _LPS_TO_RAS @ affine


def _dtype(reader: Any, path: str) -> np.dtype:
    import SimpleITK

    pixel = reader.GetPixelID()
    for name, dtype in _TYPES.items():
        if pixel in (getattr(SimpleITK, f"sitk{name}"), getattr(SimpleITK, f"sitkVector{name}")):
            return np.dtype(dtype)
    raise DataError(
        f"{path}: holds {SimpleITK.GetPixelIDValueAsString(pixel)}, which cannot be read. "
        "Fix: save it as integers or floats."
    )


def _broken(path: str, error: RuntimeError) -> DataError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"{path}: cannot be read: {lines[-1] if lines else 'unknown reason'}")
