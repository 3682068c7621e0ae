"""Scores of many classes written block by block, on the axes of the file that the scan came from.

The whole of them, classes x voxels, is never in memory: plain NIfTI and NRRD are mapped files, HDF5
is written in compressed chunks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io.mapped import MappedArray
from delineate.io.nifti_header import new_header
from delineate.io.orient import closest_axes, walk
from delineate.io.paths import HDF5, atomic_path
from delineate.io.volume import Grid, Volume

__all__ = ["BLOCKWISE", "Write", "block_axis", "place_on_source", "writing_blocks"]

BLOCKWISE = (".nii", ".nrrd", *HDF5)
"""Suffixes that can be written block by block."""
_FLOAT = np.dtype("<f4")
_NIFTI_FLOAT = 16
_CHUNK = 128
_LPS = np.array([-1.0, -1.0, 1.0])

Write = Callable[[int, np.ndarray], None]
"""Takes rows along `block_axis`: where they start, and (k, *block), whole along the other axes."""


def block_axis(like: Volume) -> int:
    """The canonical axis along which blocks come: the one that runs slowest in the scan's file."""
    return closest_axes(like.source).order.index(len(like.shape) - 1)


@contextmanager
def writing_blocks(path: Path, channels: int, like: Volume, *, name: str) -> Iterator[Write]:
    """A way to write (channels, *s) float32, some rows along `block_axis` at a time.

    Rows that are never written are zeros. The file takes its name when the block ends well.

    Args:
        path: Ends in one of `BLOCKWISE`.
        channels: Become the last axis of NIfTI and NRRD, the first of HDF5.
        like: The scan: its grid and its file's axes; its voxels are not looked at.
        name: Of the data set in an HDF5 file.
    """
    suffix = path.suffix.lower()
    if suffix not in BLOCKWISE:
        raise DataError(
            f"{path}: cannot be written in parts. Can be: {', '.join(BLOCKWISE)}. "
            "Fix: choose one of these."
        )
    opened = _hdf5_file if suffix in HDF5 else _mapped_file
    with atomic_path(path) as part, opened(part, channels, like.source, name) as put:

        def write(start: int, block: np.ndarray) -> None:
            put(*place_on_source(start, block, like))

        yield write


def place_on_source(
    start: int, block: np.ndarray, like: Volume
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Where rows along `block_axis` lie on the source's axes, and a view of them there."""
    axes = closest_axes(like.source)
    axis = block_axis(like)
    rows = slice(start, start + block.shape[1 + axis])
    if axes.flips[axis]:
        rows = slice(like.shape[axis] - rows.stop, like.shape[axis] - rows.start)
    place = [slice(0, n) for n in like.source.shape]
    place[-1] = rows
    order = [axes.order.index(axis) + 1 for axis in range(len(axes.order))]
    return tuple(place), block[:, *walk(axes)].transpose(0, *order)


_Put = Callable[[tuple[slice, ...], np.ndarray], None]


@contextmanager
def _mapped_file(path: Path, channels: int, grid: Grid, name: str) -> Iterator[_Put]:
    start = _nifti_start if path.suffix.lower() == ".nii" else _nrrd_start
    shape = (*grid.shape, 1)[:3]
    before = start(shape, channels, grid)
    with path.open("w+b") as file:
        file.write(before)
        # Both formats store the first axis fastest.
        mapped = MappedArray(file, (channels, *shape[::-1]), _FLOAT, offset=len(before))

    def put(place: tuple[slice, ...], block: np.ndarray) -> None:
        if len(place) == 2:
            place, block = (*place, slice(0, 1)), block[..., None]
        mapped.write(place[::-1], block.transpose(0, 3, 2, 1))

    yield put
    mapped.save()


@contextmanager
def _hdf5_file(path: Path, channels: int, grid: Grid, name: str) -> Iterator[_Put]:
    import h5py

    # As thin as blocks may be: a chunk that is written twice is unpacked in between.
    thin = 1 if len(grid.shape) == 3 else _CHUNK
    chunks = (1, *(min(n, _CHUNK) for n in grid.shape[:-1]), min(thin, grid.shape[-1]))
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            name,
            shape=(channels, *grid.shape),
            dtype=_FLOAT,
            chunks=chunks,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        dataset.attrs["affine"] = grid.affine
        dataset.attrs["axes"] = "c" + "ijk"[: len(grid.shape)]

        def put(place: tuple[slice, ...], block: np.ndarray) -> None:
            dataset[(slice(None), *place)] = block

        yield put


def _nifti_start(shape: tuple[int, ...], channels: int, grid: Grid) -> bytes:
    dims = shape if channels == 1 else (*shape, channels)
    header = new_header(dims, _FLOAT, _NIFTI_FLOAT, grid)
    return header.astype(header.dtype.newbyteorder("<")).tobytes() + bytes(4)


def _nrrd_start(shape: tuple[int, ...], channels: int, grid: Grid) -> bytes:
    """The text before the voxels; NRRD's own left-posterior-superior millimetres."""
    vectors = [_vector(grid.affine[:3, axis]) for axis in range(3)]
    several = channels > 1
    lines = [
        "NRRD0005",
        "type: float",
        f"dimension: {3 + several}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, (*shape, channels) if several else shape))}",
        f"space directions: {' '.join(vectors)}{' none' * several}",
        f"kinds: domain domain domain{' list' * several}",
        "endian: little",
        "encoding: raw",
        f"space origin: {_vector(grid.affine[:3, 3])}",
        "",
        "",
    ]
    return "\n".join(lines).encode("ascii")


def _vector(ras: np.ndarray) -> str:
    return f"({','.join(repr(float(v)) for v in ras * _LPS)})"
