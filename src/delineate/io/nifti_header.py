"""The NIfTI-1 and NIfTI-2 header: what it says of shape, type, scaling and place.

Read with a numpy record instead of nibabel, which takes ten times as long per file and 0.3 s to
import; the choices (sform before qform before pixdim, repairs of odd values) are nibabel's.
"""

from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.io.volume import Grid

__all__ = [
    "LENGTHS",
    "affine_of",
    "file_shape",
    "new_header",
    "parse_header",
    "scaling",
    "voxel_offset",
]

# fmt: off
_V1 = np.dtype([
    ("sizeof_hdr", "i4"), ("unused", "S35"), ("dim_info", "u1"), ("dim", "i2", 8),
    ("intent", "f4", 3), ("intent_code", "i2"), ("datatype", "i2"), ("bitpix", "i2"),
    ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4"), ("scl_slope", "f4"),
    ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
    ("cal", "f4", 2), ("duration", "f4"), ("toffset", "f4"), ("gl", "i4", 2), ("descrip", "S80"),
    ("aux_file", "S24"), ("qform_code", "i2"), ("sform_code", "i2"), ("quatern", "f4", 3),
    ("qoffset", "f4", 3), ("srow", "f4", (3, 4)), ("intent_name", "S16"), ("magic", "S4"),
])
_V2 = np.dtype([
    ("sizeof_hdr", "i4"), ("magic", "S4"), ("eol_check", "u1", 4), ("datatype", "i2"),
    ("bitpix", "i2"), ("dim", "i8", 8), ("intent", "f8", 3), ("pixdim", "f8", 8),
    ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8"), ("cal", "f8", 2),
    ("duration", "f8"), ("toffset", "f8"), ("slice_start", "i8"), ("slice_end", "i8"),
    ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i4"), ("sform_code", "i4"),
    ("quatern", "f8", 3), ("qoffset", "f8", 3), ("srow", "f8", (3, 4)), ("slice_code", "i4"),
    ("xyzt_units", "i4"), ("intent_code", "i4"), ("intent_name", "S16"), ("dim_info", "u1"),
    ("unused", "S15"),
])
# fmt: on
LENGTHS = (_V1.itemsize, _V2.itemsize)
"""Bytes of a NIfTI-1 and a NIfTI-2 header: 348 and 540."""
_PLACE = ("qform_code", "sform_code", "quatern", "qoffset", "srow", "xyzt_units")
"""The fields that say where a grid lies; with pixdim[:4] they are copied from scan to mask."""
_XFORM_CODES = range(1, 6)


def parse_header(data: bytes, path: str) -> tuple[np.ndarray, Literal["=", "S"]]:
    """The header at the start of a file as a native record, and the byte order of the file.

    The byte order is numpy's: '=' for that of this machine, 'S' for the other one.
    """
    if len(data) < _V1.itemsize:
        raise DataError(
            f"{path}: truncated: a NIfTI header takes {_V1.itemsize} bytes, got {len(data)}."
        )
    dtype = _version(data, path)
    if len(data) < dtype.itemsize:
        raise DataError(
            f"{path}: truncated: a NIfTI-2 header takes {dtype.itemsize} bytes, got {len(data)}."
        )
    header = np.frombuffer(data, dtype, count=1).reshape(()).copy()
    if 0 <= int(header["dim"][0]) <= 7:
        return header, "="
    return header.view(dtype.newbyteorder("S")).astype(dtype), "S"


def _version(data: bytes, path: str) -> np.dtype:
    if data[4:7] == b"n+2":
        return _V2
    if data[344:347] == b"n+1":
        return _V1
    if data[344:347] == b"ni1" or data[4:7] == b"ni2":
        raise DataError(
            f"{path}: the header of a NIfTI pair (.hdr and .img). Fix: convert it to one .nii file."
        )
    raise DataError(f"{path}: not a NIfTI file: it lacks the mark 'n+1' or 'n+2'.")


def file_shape(header: np.ndarray, path: str) -> tuple[int, ...]:
    """The shape that the file declares, of any number of dimensions."""
    dims = header["dim"].tolist()
    shape = tuple(dims[1 : dims[0] + 1]) if 0 < dims[0] <= 7 else ()
    if not shape or min(shape) < 1:
        raise DataError(f"{path}: the header declares an impossible shape (dim = {dims}).")
    return shape


def scaling(header: np.ndarray, path: str) -> tuple[float, float]:
    """Slope and intercept; (1, 0) where the slope is unset (0 or not finite)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return (1.0, 0.0)
    if not np.isfinite(intercept):
        raise DataError(f"{path}: scl_slope is {slope:g} but scl_inter is {intercept}.")
    return (slope, intercept)


def voxel_offset(header: np.ndarray, path: str) -> int:
    """Where the voxels begin: right after the header where it is unset."""
    start = header.dtype.itemsize + 4
    offset = int(header["vox_offset"])
    if offset != 0 and offset < start:
        raise DataError(f"{path}: vox_offset is {offset}, inside the header ({start} bytes).")
    return offset or start


def affine_of(header: np.ndarray, shape: tuple[int, ...], path: str) -> np.ndarray:
    """The sform if its code is set, else the qform, else pixdim around the centre of the volume."""
    affine = np.eye(4)
    if int(header["sform_code"]) in _XFORM_CODES:
        affine[:3] = header["srow"]
    elif int(header["qform_code"]) in _XFORM_CODES:
        affine[:3, :3] = _quaternion_rotation(header, path) * _qform_spacing(header)
        affine[:3, 3] = header["qoffset"]
    else:
        spacing = _pixdim(header) * (-1, 1, 1)
        spacing[header["dim"][0] :] = 1
        affine[:3, :3] = np.diag(spacing)
        affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return affine


def _pixdim(header: np.ndarray) -> np.ndarray:
    spacing = np.abs(header["pixdim"][1:4].astype(np.float64))
    spacing[spacing == 0] = 1
    return spacing


def _qform_spacing(header: np.ndarray) -> np.ndarray:
    return _pixdim(header) * (1, 1, -1 if header["pixdim"][0] == -1 else 1)


def _quaternion_rotation(header: np.ndarray, path: str) -> np.ndarray:
    """The rotation of the unit quaternion whose last three parts are stored."""
    b, c, d = header["quatern"].astype(np.float64).tolist()
    rest = 1 - (b * b + c * c + d * d)
    # A half turn leaves nothing for the first part but float32 rounding.
    if abs(rest) < 3 * np.finfo(np.float32).eps:
        rest = 0.0
    if not rest >= 0:
        raise DataError(
            f"{path}: the quaternion of the qform ({b:g}, {c:g}, {d:g}) is not a rotation."
        )
    a = rest**0.5
    norm = 2 / (a * a + b * b + c * c + d * d)
    return np.eye(3) + norm * np.array(
        [
            [-c * c - d * d, b * c - a * d, b * d + a * c],
            [b * c + a * d, -b * b - d * d, c * d - a * b],
            [b * d - a * c, c * d + a * b, -b * b - c * c],
        ]
    )


def new_header(shape: tuple[int, ...], dtype: np.dtype, code: int, grid: Grid) -> np.ndarray:
    """A header for an array on `grid`; NIfTI-2 where the source is, or for the sake of size."""
    second = grid.header is not None and grid.header.dtype == _V2
    layout = _V2 if second or max(shape) > np.iinfo(np.int16).max else _V1
    header = np.zeros((), layout)
    header["sizeof_hdr"] = layout.itemsize
    header["dim"] = [len(shape), *shape] + [1] * (7 - len(shape))
    header["pixdim"] = 1
    header["datatype"], header["bitpix"] = code, dtype.itemsize * 8
    header["scl_slope"] = 1
    header["magic"] = b"n+1"
    if layout == _V2:
        header["magic"], header["eol_check"] = b"n+2", [13, 10, 26, 10]
    header["vox_offset"] = layout.itemsize + 4
    _place(header, grid)
    return header


def _place(header: np.ndarray, grid: Grid) -> None:
    """Write where the grid lies: the source's own fields if they say so, else both forms."""
    source = grid.header
    if source is not None:
        shape = (*grid.shape, 1)[:3]
        if np.array_equal(affine_of(source, shape, "source"), grid.affine):
            for name in _PLACE:
                header[name] = source[name]
            header["pixdim"][:4] = source["pixdim"][:4]
            return
    rotation, spacing = _split(grid.affine)
    header["pixdim"][:4] = [np.linalg.det(rotation), *spacing]
    header["quatern"] = _quaternion(rotation * (1, 1, np.linalg.det(rotation)))
    header["qoffset"] = grid.affine[:3, 3]
    header["srow"] = grid.affine[:3]
    header["sform_code"] = 1
    # A sheared grid has no quaternion: only the sform holds it.
    header["qform_code"] = int(np.allclose(rotation * spacing, grid.affine[:3, :3], atol=1e-4))
    header["xyzt_units"] = 2  # mm


def _split(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest orthogonal matrix and the spacing of an affine."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    return left @ right, spacing


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """The last three parts of the unit quaternion of a rotation, the first one not negative."""
    trace = np.trace(rotation)
    # Four times the outer product of the quaternion with itself; its largest column is the surest.
    outer = np.empty((4, 4))
    outer[0, 0] = 1 + trace
    outer[1:, 1:] = rotation + rotation.T + (1 - trace) * np.eye(3)
    outer[0, 1:] = outer[1:, 0] = (
        rotation[2, 1] - rotation[1, 2],
        rotation[0, 2] - rotation[2, 0],
        rotation[1, 0] - rotation[0, 1],
    )
    column = outer[:, np.argmax(np.diag(outer))]
    quaternion = column / np.linalg.norm(column)
    return quaternion[1:] if quaternion[0] >= 0 else -quaternion[1:]
