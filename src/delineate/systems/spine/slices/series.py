"""Series of slices below a folder: folders of pictures, scans in one file, DICOM series.

A folder with pictures in it is one series, whose slices follow their names as a person counts them
(2 before 10). A NIfTI, NRRD or MetaImage file is one series, and so is each DICOM series of a
folder. A series is called by its place, the name of the input first: `scans/patient_3/t2`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Literal

from delineate.datasets.listing import natural
from delineate.errors import DataError
from delineate.inference.made_by import FILE
from delineate.io import stem
from delineate.io.dicom import list_series
from delineate.io.paths import (
    DICOM,
    ITK,
    NIFTI,
    PICTURES,
    has_dicom_mark,
    missing,
    suffix_of,
)

__all__ = ["Kind", "Series", "find_series", "refuse_inside"]

Kind = Literal["pictures", "volume", "dicom"]
VOLUMES = (*NIFTI, *ITK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Slices that belong together."""

    id: str
    kind: Kind
    files: tuple[str, ...]
    """The pictures in their order; or the file, or the DICOM folder, alone. Of a folder with
    several series, with the series' own UID behind `::`."""
    folder: str
    """Where its files go below the folder of the output."""
    name: str
    """What its files are called by, where they are not called by the slices."""


def find_series(place: Path) -> tuple[Series, ...]:
    """All series of a file or of a folder and those below it, in the order of their names.

    Hidden files and folders are passed over, and so are folders of earlier predictions.
    """
    if not place.exists():
        raise missing(str(place))
    root = _absolute(place)
    if root.is_file():
        found = list(_of_file(root))
        if not found:
            raise DataError(f"{place}: not an image that can be read. {_READABLE}")
        return tuple(found)
    found = [series for folder in _folders(root) for series in _of_folder(folder, root)]
    if not found:
        raise DataError(f"{place}: no images here or in a folder below. {_READABLE}")
    scans = Counter((s.folder, s.name) for s in found if s.kind != "pictures")
    twice = [key for key, number in scans.items() if number > 1]
    if twice:
        folder, name = twice[0]
        raise DataError(
            f"{place}: two scans in {folder} are called {name}; their masks would be, too. "
            "Fix: rename one of them."
        )
    return tuple(found)


def refuse_inside(place: Path, out: Path) -> None:
    """A DataError where the masks would come to lie among the slices."""
    root = _absolute(place)
    home = _absolute(out) / (root.parent.name if root.is_file() else root.name)
    if home == (root.parent if root.is_file() else root):
        raise DataError(
            f"{out}: the masks would lie among the slices themselves, in {home}. "
            "Fix: choose another folder for the output, such as output."
        )


def _absolute(place: Path) -> Path:
    return Path(normpath(place.absolute()))


_READABLE = f"Can be read: {' '.join((*VOLUMES, *PICTURES))} and DICOM."


def _of_file(file: Path) -> Iterator[Series]:
    folder = file.parent.name
    if suffix_of(file) in PICTURES:
        yield _series("pictures", folder, stem(file), files=(str(file),))
    elif suffix_of(file) in VOLUMES:
        yield _series("volume", folder, stem(file), files=(str(file),))
    elif suffix_of(file) in DICOM or has_dicom_mark(file):
        yield _series("dicom", folder, stem(file), files=(str(file),))


def _series(kind: Kind, folder: str, name: str, *, files: tuple[str, ...]) -> Series:
    return Series(id=f"{folder}/{name}", kind=kind, files=files, folder=folder, name=name)


def _folders(root: Path) -> Iterator[Path]:
    """The folder and all below it, each before its own."""
    yield root
    for path in sorted((p for p in root.iterdir() if p.is_dir()), key=lambda p: natural(p.name)):
        if not path.name.startswith(".") and not (path / FILE).is_file():
            yield from _folders(path)


def _of_folder(folder: Path, root: Path) -> Iterator[Series]:
    """The series whose files lie directly in a folder."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    files.sort(key=lambda p: natural(p.name))
    where = "/".join((root.name, *folder.relative_to(root).parts))
    if pictures := [file for file in files if suffix_of(file) in PICTURES]:
        yield Series(
            id=where,
            kind="pictures",
            files=tuple(map(str, pictures)),
            folder=where,
            name=folder.name,
        )
    for file in files:
        if suffix_of(file) in VOLUMES:
            yield _series("volume", where, stem(file), files=(str(file),))
    if any(suffix_of(f) in DICOM or (suffix_of(f) is None and has_dicom_mark(f)) for f in files):
        yield from _of_dicom(folder, where)


def _of_dicom(folder: Path, where: str) -> Iterator[Series]:
    uids = list_series(folder)
    for uid in uids:
        alone = len(uids) == 1
        yield Series(
            id=where if alone else f"{where}/{uid}",
            kind="dicom",
            files=(str(folder) if alone else f"{folder}::{uid}",),
            folder=where,
            name=folder.name if alone else uid,
        )
