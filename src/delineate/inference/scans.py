"""Which scans a person means by a folder or some files."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from delineate.errors import DataError
from delineate.inference.made_by import FILE
from delineate.io import SUFFIXES, is_image, stem
from delineate.io.hdf5 import count_items
from delineate.io.paths import split_reference, suffix_of

__all__ = ["find_scans"]

Scan = tuple[str, tuple[str, ...]]
"""The id of a scan and its files: one per channel, or one with all channels."""

_NUMBERED = re.compile(r"(.+)_(\d{4})")


def find_scans(inputs: Sequence[Path], channels: int) -> list[Scan]:
    """Every scan of the given files and folders, sorted by id.

    A folder stands for the images in it and in the folders below it. A folder of DICOM files is one
    scan, and so is each item of `images` in an HDF5 file. Hidden folders, and those with the masks
    of an earlier prediction, are passed over. The id of a scan is its name, behind the folders
    between it and what was given: `site_2/case_1`. Where two inputs would give the same id, all ids
    begin at the folder that all inputs share. Names like `case_0000`, `case_0001` (nnU-Net) are the
    channels of `case`. With one channel, the number is taken for a channel only where every name
    ends in `_0000`.
    """
    given = [found for path in inputs for found in _images(path)]
    if _clash(given):
        shared = Path(os.path.commonpath([found.root.absolute() for found in given]))
        given = [found._replace(root=shared) for found in given]
    items = [item for found in given for item in _items(found)]
    stores = {item.file for item in items}
    files = [found for found in given if found.file not in stores]
    numbered = [bool(n) and n[2] == "0000" for n in (_number(f.file) for f in files)]
    by_channel = any(numbered) if channels > 1 else all(numbered)
    found: dict[str, dict[int | None, Path]] = {}
    for image in files:
        number = _number(image.file) if by_channel else None
        name, channel = (number[1], int(number[2])) if number else (stem(image.file), None)
        known = found.setdefault(image.folder + name, {})
        if channel in known:
            raise DataError(
                f"{image.folder}{name}: {known[channel]} and {image.file} would be the same scan."
            )
        known[channel] = image.file
    scans = [(case, _in_order(case, parts, channels)) for case, parts in found.items()]
    return sorted(scans + [(item.case, (item.reference,)) for item in items])


class _Image(NamedTuple):
    """A file, or a folder that is one scan."""

    file: Path
    root: Path
    """The folder at which its id begins."""

    @property
    def folder(self) -> str:
        """The folders between the root and the file, each with its stroke."""
        place = Path(split_reference(self.file).path).parent.absolute()
        between = place.relative_to(self.root.absolute()).as_posix()
        return "" if between == "." else f"{between}/"


class _Item(NamedTuple):
    """One scan of an HDF5 file, named as the data set of such files names it."""

    file: Path
    case: str
    reference: str


def _items(image: _Image) -> list[_Item]:
    file = image.file
    if suffix_of(file) not in (".h5", ".hdf5") or "::" in str(file):
        return []
    count = count_items(file, "images") or 0
    name = image.folder + stem(file)
    return [_Item(file, f"{name}_{i:05}", f"{file}::images[{i}]") for i in range(count)]


def _images(path: Path) -> list[_Image]:
    if is_image(path):
        place = Path(split_reference(path).path)
        if "::" not in str(path) and not path.exists():
            raise DataError(f"{path}: no such file.")
        return [_Image(path, place.parent)]
    if not path.is_dir():
        known = "no such file or folder" if not path.exists() else "not an image that can be read"
        raise DataError(f"{path}: {known}. Can be read: {', '.join(SUFFIXES)}, DICOM folders.")
    found = [_Image(file, path) for file in _below(path)]
    if not found:
        raise DataError(
            f"{path}: no images here. Can be read: {', '.join(SUFFIXES)}, DICOM folders."
        )
    return found


def _below(folder: Path) -> Iterator[Path]:
    """All images in a folder and below it."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or (path / FILE).exists():
            continue
        if is_image(path):
            yield path
        elif path.is_dir():
            yield from _below(path)


def _clash(images: Iterable[_Image]) -> bool:
    """Whether files of different inputs would have the same id."""
    homes: dict[str, Path] = {}
    for image in images:
        home = image.root.absolute()
        if homes.setdefault(image.folder + stem(image.file), home) != home:
            return True
    return False


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
