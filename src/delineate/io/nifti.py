"""NIfTI-1 and NIfTI-2, plain or gzipped, in either byte order.

A fourth axis of one is dropped; a longer one, or a fifth, is channels (the fourth axis fastest).
A file of two dimensions is a volume of one slice.
"""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from delineate.errors import DataError
from delineate.io.compressed import BrokenGzipError, deflate, inflate, inflate_start
from delineate.io.nifti_header import (
    LENGTHS,
    affine_of,
    file_shape,
    new_header,
    parse_header,
    scaling,
    voxel_offset,
)
from delineate.io.orient import contiguous
from delineate.io.paths import missing
from delineate.io.volume import Grid, Stored, value_dtype

__all__ = ["read", "read_header", "write"]

_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 128: "3u1",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8", 2304: "4u1",
}  # fmt: skip
_CODES = {np.dtype(name): code for code, name in _TYPES.items() if name[0] not in "34"}
_T = TypeVar("_T")
_COMPLEX = (32, 1792, 2048)


def read(path: str) -> Stored:
    """The whole file, in one read and one decompression."""
    data, complete = _bytes(path), True
    if _gzipped(path):
        data, complete = _unpacked(path, data, inflate)
    header, order = parse_header(data, path)
    grid, channels, stored = _facts(header, order, path)
    offset = voxel_offset(header, path)
    needed = offset + prod(grid.shape) * channels * stored.itemsize
    if len(data) < needed or not complete:
        raise DataError(
            f"{path}: truncated: {needed:,} bytes expected ({_times(grid.shape)} voxels of "
            f"{stored.name}, {channels} channel{'s' * (channels > 1)}), got {len(data):,}"
            f"{'.' if len(data) < needed else ' but no checksum at the end of the gzip stream.'}"
        )
    voxels = np.frombuffer(data, stored, prod(grid.shape) * channels, offset)
    if _is_colour(header):
        array = voxels.reshape(*grid.shape[::-1], channels).T
    else:
        array = voxels.reshape(channels, *grid.shape[::-1]).transpose(0, 3, 2, 1)
    return Stored(array=array, grid=grid, scale=scaling(header, path))


def read_header(path: str) -> tuple[Grid, int, np.dtype]:
    """Grid, channels and value type, from the first bytes alone."""
    start = _bytes(path, 16384)
    if _gzipped(path):
        start = _unpacked(path, start, lambda data: inflate_start(data, max(LENGTHS)))
    header, order = parse_header(start, path)
    grid, channels, stored = _facts(header, order, path)
    return grid, channels, value_dtype(stored, scaling(header, path))


def write(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write (c, *grid.shape); one channel makes a file of three dimensions, more make four."""
    volume = array if len(grid.shape) == 3 else array[..., None]
    shape = volume.shape[1:] if len(volume) == 1 else (*volume.shape[1:], len(volume))
    dtype = np.dtype(array.dtype).newbyteorder("<")
    if dtype not in _CODES:
        raise ValueError(f"{path}: NIfTI cannot hold {array.dtype}")
    header = new_header(shape, dtype, _CODES[dtype], grid)
    voxels = contiguous(volume.transpose(0, 3, 2, 1), dtype)
    data = header.astype(header.dtype.newbyteorder("<")).tobytes() + bytes(4)
    if _gzipped(str(path)):
        path.write_bytes(deflate(data + voxels.tobytes()))
        return
    with path.open("wb") as file:
        file.write(data)
        file.write(voxels.data)


def _facts(header: np.ndarray, order: Literal["=", "S"], path: str) -> tuple[Grid, int, np.dtype]:
    """Grid, number of channels and stored type, all checked."""
    declared = file_shape(header, path)
    shape = (*declared, 1, 1)[:3]
    channels = prod(declared[3:])
    code = int(header["datatype"])
    if code not in _TYPES:
        kind = "complex numbers" if code in _COMPLEX else f"type {code}"
        raise DataError(
            f"{path}: holds {kind}, which cannot be read. Fix: save it as integers or floats."
        )
    if _is_colour(header):
        if channels > 1:
            raise DataError(f"{path}: colours along a fourth axis cannot be read.")
        channels = int(_TYPES[code][0])
    voxel_offset(header, path)
    affine = affine_of(header, shape, path)
    _check_affine(affine, path)
    stored = np.dtype(_TYPES[code][-2:]).newbyteorder(order)
    return Grid(shape=shape, affine=affine, header=header), channels, stored


def _is_colour(header: np.ndarray) -> bool:
    return len(_TYPES[int(header["datatype"])]) == 3


def _gzipped(path: str) -> bool:
    return path.lower().endswith(".gz")


def _bytes(path: str, length: int = -1) -> bytes:
    """The file's first bytes, or all of them; an empty or missing file is an error."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(length)
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    if not data:
        raise DataError(f"{path}: empty: 0 bytes.")
    return data


def _unpacked(path: str, data: bytes, unpack: Callable[[bytes], _T]) -> _T:
    if not data.startswith(b"\x1f\x8b"):
        plain = any(mark in (data[344:347], data[4:7]) for mark in (b"n+1", b"n+2"))
        fix = " Fix: it is a plain NIfTI file, name it .nii." if plain else ""
        raise DataError(f"{path}: not a gzip file, in spite of its name.{fix}")
    try:
        return unpack(data)
    except BrokenGzipError as error:
        raise DataError(
            f"{path}: the gzip stream is broken ({error}). Fix: fetch it again."
        ) from None


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _check_affine(affine: np.ndarray, path: str) -> None:
    if not np.isfinite(affine).all():
        raise DataError(
            f"{path}: the affine has values that are not finite:\n{affine[:3]}\n"
            "  Fix: copy the geometry from the scan that this file belongs to."
        )
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not lengths.all() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise DataError(
            f"{path}: the affine is singular (two axes point the same way or a spacing is 0):\n"
            f"{affine[:3]}\n  Fix: copy the geometry from the scan that this file belongs to."
        )
