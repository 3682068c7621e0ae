"""Items of HDF5 data sets: `train.h5::images[17]` is item 17 along the first axis of `images`.

An item of two axes is a picture, of three a volume, of four the same with channels first; the
attribute `axes` ('cij', say) overrules that. The affine is the identity unless the data set, or the
file, has an attribute `affine` (4, 4) or `spacing` (mm for each spatial axis).
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io.paths import missing, split_reference
from delineate.io.volume import Grid, Stored

__all__ = ["count_items", "read", "read_header", "write"]

_AXES = {2: "ij", 3: "ijk", 4: "cijk"}
_LIMIT = 8
"""Files kept open at once; the oldest is closed first."""
_local = threading.local()


def read(reference: str) -> Stored:
    """One item; the file stays open in this process for the next one."""
    dataset, index = _dataset(reference)
    grid, channels, dtype = _facts(dataset, index, reference)
    item = np.asarray(dataset[()] if index is None else dataset[index], dtype)
    return Stored(array=item.reshape(channels, *grid.shape), grid=grid)


def read_header(reference: str) -> tuple[Grid, int, np.dtype]:
    """Grid, channels and value type of one item."""
    dataset, index = _dataset(reference)
    return _facts(dataset, index, reference)


def count_items(path: str | Path, name: str) -> int | None:
    """How many items the data set `name` of a file holds; None where there is no such data set."""
    file = _open(str(path))
    return len(file[name]) if name in file else None


def write(path: Path, array: np.ndarray, grid: Grid, *, name: str) -> None:
    """Write (c, *grid.shape) as the one data set `name`; a single channel takes no axis."""
    import h5py

    voxels = array[0] if len(array) == 1 else array
    axes = "ijk"[: len(grid.shape)] if len(array) == 1 else "c" + "ijk"[: len(grid.shape)]
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            name, data=voxels, compression="gzip", compression_opts=1, shuffle=True
        )
        dataset.attrs["affine"] = grid.affine
        dataset.attrs["axes"] = axes


def _facts(dataset: Any, index: int | None, reference: str) -> tuple[Grid, int, np.dtype]:
    shape = tuple(dataset.shape if index is None else dataset.shape[1:])
    axes = _attribute(dataset, "axes")
    names = _AXES.get(len(shape)) if axes is None else str(axes)
    if names not in ("ij", "cij", "ijk", "cijk") or len(names) != len(shape) or 0 in shape:
        raise DataError(
            f"{reference}: an item of shape {shape} is neither a picture nor a volume"
            f"{'' if axes is None else f' with axes {names!r}'}. "
            "Fix: store (items, [channels,] i, j[, k]) and name one item as DATASET[INDEX]."
        )
    if dataset.dtype.kind not in "iufb":
        raise DataError(f"{reference}: holds {dataset.dtype}, not numbers.")
    spatial = shape[-2:] if names in ("ij", "cij") else shape[-3:]
    channels = shape[0] if names[0] == "c" else 1
    dtype = np.dtype(np.uint8) if dataset.dtype.kind == "b" else dataset.dtype.newbyteorder("=")
    return Grid(shape=spatial, affine=_affine(dataset, len(spatial), reference)), channels, dtype


def _dataset(reference: str) -> tuple[Any, int | None]:
    """The data set that is meant, checked, and the index in it."""
    import h5py

    path, name, index = split_reference(reference)
    file = _open(path)
    if name is None:
        name = _only_name(file, path)
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{path}: no data set {name!r}. It holds {_listing(file)}.")
    if index is not None and (dataset.ndim == 0 or index >= len(dataset)):
        raise DataError(f"{reference}: {name} has shape {dataset.shape}, so no item {index}.")
    return dataset, index


def _only_name(file: Any, path: str) -> str:
    names = _names(file)
    if len(names) != 1:
        raise DataError(
            f"{path}: say which data set is meant. It holds {_listing(file)}. "
            f"Fix: {path}::DATASET[INDEX]."
        )
    return names[0]


def _listing(file: Any) -> str:
    return ", ".join(f"{name} {file[name].shape}" for name in _names(file)) or "none"


def _names(file: Any) -> list[str]:
    import h5py

    found: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    file.visititems(note)
    return found


def _open(path: str) -> Any:
    """This thread's handle to the file as it is on disk; a forked worker opens its own."""
    import h5py

    try:
        facts = Path(path).stat()
    except FileNotFoundError:
        raise missing(path) from None
    handles = _local.__dict__.setdefault("handles", {})
    key = (os.getpid(), os.path.realpath(path), facts.st_ino, facts.st_mtime_ns)
    if key not in handles:
        _forget(handles, key)
        try:
            handles[key] = h5py.File(path, "r", locking=False)
        except OSError as error:
            raise DataError(f"{path}: not a readable HDF5 file: {error}") from None
    return handles[key]


def _forget(handles: dict[tuple[Any, ...], Any], key: tuple[Any, ...]) -> None:
    """Close what is out of date or too much; a parent's handles are left to the parent."""
    mine = [known for known in handles if known[0] == key[0]]
    stale = [known for known in mine if known[1] == key[1]]
    for known in {*stale, *mine[: max(0, len(mine) - _LIMIT + 1)]}:
        handles.pop(known).close()


def _attribute(dataset: Any, name: str) -> Any:
    """Of the data set, or else of the file."""
    return dataset.attrs.get(name, dataset.file.attrs.get(name))


def _affine(dataset: Any, dims: int, reference: str) -> np.ndarray:
    affine, spacing = _attribute(dataset, "affine"), _attribute(dataset, "spacing")
    if affine is None:
        affine = np.eye(4)
        if spacing is not None:
            if np.shape(spacing) != (dims,):
                raise DataError(f"{reference}: 'spacing' must have {dims} values, got {spacing}.")
            affine[range(dims), range(dims)] = spacing
    affine = np.array(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise DataError(f"{reference}: 'affine' must be an invertible (4, 4) matrix, got\n{affine}")
    return affine
