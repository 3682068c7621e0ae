"""Which scans a person means by a folder or some files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from delineate.errors import DataError
from delineate.io import SUFFIXES, is_image, stem
from delineate.io.hdf5 import count_items
from delineate.io.paths import suffix_of

__all__ = ["find_scans"]

Scan = tuple[str, tuple[str, ...]]
"""The id of a scan and its files: one per channel, or one with all channels."""

_NUMBERED = re.compile(r"(.+)_(\d{4})")


def find_scans(inputs: Sequence[Path], channels: int) -> list[Scan]:
    """Every scan of the given files and folders, sorted by id.

    A folder stands for the images in it, and for the DICOM series in its folders; a DICOM folder is
    one scan, and so is each item of `images` in an HDF5 file. Names like `case_0000`, `case_0001`
    (nnU-Net) are the channels of `case`. With one channel, the number is taken for a channel only
    where every name ends in `_0000`.
    """
    given = [file for path in inputs for file in _images(path)]
    items = [item for file in given for item in _items(file)]
    stores = {item.file for item in items}
    files = [file for file in given if file not in stores]
    numbered = [bool(n) and n[2] == "0000" for n in map(_number, files)]
    by_channel = any(numbered) if channels > 1 else all(numbered)
    found: dict[str, dict[int | None, Path]] = {}
    for file in files:
        number = _number(file) if by_channel else None
        case, channel = (number[1], int(number[2])) if number else (stem(file), None)
        known = found.setdefault(case, {})
        if channel in known:
            raise DataError(f"{case}: {known[channel]} and {file} would be the same scan.")
        known[channel] = file
    scans = [(case, _in_order(case, parts, channels)) for case, parts in found.items()]
    return sorted(scans + [(item.case, (item.reference,)) for item in items])


class _Item(NamedTuple):
    """One scan of an HDF5 file, named as the data set of such files names it."""

    file: Path
    case: str
    reference: str


def _items(file: Path) -> list[_Item]:
    if suffix_of(file) not in (".h5", ".hdf5") or "::" in str(file):
        return []
    count = count_items(file, "images") or 0
    return [_Item(file, f"{stem(file)}_{i:05}", f"{file}::images[{i}]") for i in range(count)]


def _images(path: Path) -> list[Path]:
    if is_image(path):
        if "::" not in str(path) and not path.exists():
            raise DataError(f"{path}: no such file.")
        return [path]
    if not path.is_dir():
        known = "no such file or folder" if not path.exists() else "not an image that can be read"
        raise DataError(f"{path}: {known}. Can be read: {', '.join(SUFFIXES)}, DICOM folders.")
    found = sorted(file for file in path.iterdir() if is_image(file))
    if not found:
        raise DataError(
            f"{path}: no images here. Can be read: {', '.join(SUFFIXES)}, DICOM folders."
        )
    return found


def _number(path: Path) -> re.Match[str] | None:
    return _NUMBERED.fullmatch(stem(path))


def _in_order(case: str, files: dict[int | None, Path], channels: int) -> tuple[str, ...]:
    """One file that may hold all channels, or every channel from 0 on."""
    if None in files:
        if len(files) > 1:
            raise DataError(f"{case}: there are {case} and numbered channels of it beside it.")
        return (str(files[None]),)
    indices = sorted(i for i in files if i is not None)
    if indices != list(range(channels)):
        given = ", ".join(f"{i:04}" for i in indices)
        raise DataError(
            f"{case}: the model needs {channels} channels, 0000 to {channels - 1:04}, "
            f"but there are {given} ({files[indices[0]].parent})."
        )
    return tuple(str(files[i]) for i in indices)
