"""Names of files: which can be read, what a case is called, where an item of an HDF5 file lies."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from delineate.errors import DataError

__all__ = [
    "DICOM",
    "HDF5",
    "ITK",
    "NIFTI",
    "PICTURES",
    "SUFFIXES",
    "Reference",
    "atomic_path",
    "has_dicom_mark",
    "is_image",
    "link",
    "missing",
    "split_reference",
    "stem",
    "suffix_of",
]

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
HDF5 = (".h5", ".hdf5")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
DICOM = (".dcm",)
SUFFIXES = (*NIFTI, *ITK, *HDF5, *PICTURES, *DICOM)
"""What can be read, besides a folder with a DICOM series."""

_REFERENCE = re.compile(r"(?P<path>.+?)::(?P<item>[^\[\]]+)(\[(?P<index>\d+)\])?")


class Reference(NamedTuple):
    """A path and, after `::`, what is meant inside it."""

    path: str
    item: str | None = None
    """A data set of an HDF5 file, or the SeriesInstanceUID of a DICOM folder."""
    number: int | None = None
    """Along the first axis of that data set."""


def split_reference(path: str | Path) -> Reference:
    """Split `file.h5::images[17]` or `folder::1.2.840...`; a plain path has no item."""
    text = str(path)
    if "::" not in text:
        return Reference(text)
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise DataError(
            f"{text}: not a reference. "
            "Fix: write FILE.h5::DATASET[INDEX], FILE.h5::DATASET or FOLDER::SeriesInstanceUID."
        )
    index = match["index"]
    return Reference(match["path"], match["item"], None if index is None else int(index))


def suffix_of(path: str | Path) -> str | None:
    """The known suffix of a file name in lower case, or None."""
    name = split_reference(path).path.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def stem(path: str | Path) -> str:
    """The name of a case: `case_1` of `case_1.nii.gz`; only a known suffix goes, other dots stay.

    `train.h5::images[17]` is `train_17`, so an image and its mask in one file share their name.
    """
    reference = split_reference(path)
    name = Path(reference.path).name
    suffix = None if Path(reference.path).is_dir() else suffix_of(reference.path)
    name = name[: -len(suffix)] if suffix else name
    if suffix in HDF5:
        return name if reference.number is None else f"{name}_{reference.number}"
    return name if reference.item is None else f"{name}_{reference.item}"


def is_image(path: str | Path) -> bool:
    """Whether `read_volume` would try this path, by its name; a folder, if it holds DICOM files.

    Hidden files, such as macOS's `._case_1.nii.gz`, are none.
    """
    place = Path(split_reference(path).path)
    if place.name.startswith("."):
        return False
    if place.is_dir():
        return any(has_dicom_mark(file) for file in sorted(place.iterdir())[:5])
    return suffix_of(path) is not None


def has_dicom_mark(path: str | Path) -> bool:
    """Whether a file starts as DICOM files do, whatever its name."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def missing(path: str) -> DataError:
    """The error for a path that is not there, with the nearest name that is."""
    place = Path(path)
    if not place.parent.is_dir():
        return DataError(f"{path}: no such file: the folder {place.parent} does not exist.")
    near = get_close_matches(place.name, sorted(p.name for p in place.parent.iterdir()), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return DataError(f"{path}: no such file.{hint}")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name `path` only when all went well.

    The folder is made if need be, and the suffix is kept, since writers go by it.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{final.name}")
    try:
        yield part
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def link(file: Path, name: Path) -> None:
    """Give a file a second name, which takes no room; a copy where the disk knows none."""
    with atomic_path(name) as part:
        try:
            os.link(file, part)
        except OSError:
            shutil.copy2(file, part)
