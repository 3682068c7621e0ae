"""Drivers: which files hold slices.

pillow and torchvision read pictures (PNG, JPEG, TIFF, BMP), each file a slice. dicom reads files of
one slice, whose series are scaled as a whole where they make a volume, and files of many frames.
nifti reads scans, each a series of slices.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from delineate.errors import DataError, require
from delineate.io import read_header
from delineate.io.paths import NIFTI, PICTURES, has_dicom_mark, suffix_of
from delineate.report.view import Plane
from delineate.systems.spine.slices.reading import files_in_order
from delineate.systems.spine.slices.rows import Row
from delineate.systems.spine.slices.volume_pictures import Cut, choose_plane

__all__ = [
    "DRIVERS",
    "as_slices",
    "find_files",
    "patient_in_header",
]

DRIVERS = ("dicom", "nifti", "pillow", "torchvision")
DICOM_NAMES = (".dcm", ".dicom", ".ima")
FRAMES = "frames"
"""Stands for the plane in the reference to a slice of a file with many frames."""


def find_files(root: Path, driver: str) -> tuple[list[Path], list[Path]]:
    """The files below a folder that the driver reads, and others that can be masks only."""
    read, others = [], []
    for path in _walk(root):
        if _is_read(path, driver):
            read.append(path)
        elif suffix_of(path) is not None:
            others.append(path)
    if not read:
        there = f"Here lie {len(others)} others, such as {others[0].name}." if others else ""
        raise DataError(
            f"{root}: the driver '{driver}' finds no file that it reads. {there} Fix: correct the "
            f"path, or choose another driver of {', '.join(DRIVERS)}."
        )
    return read, others


def _walk(root: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _is_read(path: Path, driver: str) -> bool:
    if driver == "nifti":
        return path.name.lower().endswith(NIFTI)
    if driver == "dicom":
        named = path.suffix.lower() in DICOM_NAMES
        return named or (suffix_of(path) is None and has_dicom_mark(path))
    return path.name.lower().endswith(PICTURES)


def as_slices(rows: Sequence[Row], driver: str, plane: Cut = "auto") -> list[Row]:
    """Rows of single slices: scans are taken apart, with their masks.

    Args:
        rows: Files.
        driver: What reads them.
        plane: Which way NIfTI scans are cut.
    """
    if driver == "nifti":
        return [part for row in rows for part in _of_scan(row, plane)]
    if driver == "dicom":
        return list(_of_dicom(rows))
    return list(rows)


def _of_scan(row: Row, wish: Cut) -> Iterator[Row]:
    header = read_header(row.path)
    if len(header.shape) != 3:
        raise DataError(
            f"{row.path}: has {len(header.shape)} axes, a scan has three. Fix: use driver pillow "
            "for pictures, or save one three-dimensional image per file."
        )
    plane = choose_plane(header, wish)
    yield from _parts(row, plane, plane.name, header.shape)


def _parts(row: Row, plane: Plane, word: str, shape: tuple[int, ...]) -> Iterator[Row]:
    """The slices of one file, by their numbers along the canonical axis that is cut."""
    assert plane.axis is not None
    name = row.name.removesuffix(suffix_of(row.name) or "")
    for number in range(shape[plane.axis]):
        yield replace(
            row,
            path=_part(row.path, word, number),
            name=f"{name}_{plane.name}_{number:03}",
            label=None if row.label is None else _part(row.label, word, number),
        )


def _part(place: str, word: str, number: int) -> str:
    """A slice of a scan; a class stays a class, and the mask of a slice alone its file."""
    scan = suffix_of(place) is not None and suffix_of(place) not in PICTURES
    return f"{place}::{word}[{number}]" if scan else place


def _of_dicom(rows: Sequence[Row]) -> Iterator[Row]:
    """Files with many frames taken apart; files of one series as slices of its volume."""
    series: dict[tuple[Path, str], list[Row]] = {}
    for row in rows:
        uid, frames, _ = _dicom_facts(row.path)
        if frames > 1:
            header = read_header(row.path)
            yield from _parts(row, choose_plane(header, stacked=True), FRAMES, header.shape)
        else:
            series.setdefault((Path(row.path).parent, uid), []).append(row)
    for (folder, uid), members in series.items():
        yield from _of_series(folder, uid, members)


def patient_in_header(path: str) -> str | None:
    """The PatientID of a DICOM file, or its series where that is empty."""
    uid, _, patient = _dicom_facts(path)
    return patient or uid or None


@cache
def _dicom_facts(path: str) -> tuple[str, int, str]:
    """Series, number of frames, patient."""
    pydicom = require("pydicom", extra="dicom")
    wanted = ["SeriesInstanceUID", "NumberOfFrames", "PatientID"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable DICOM file: {error}") from None
    frames = int(header.get("NumberOfFrames") or 1)
    return str(header.get("SeriesInstanceUID", "")), frames, str(header.get("PatientID") or "")


def _of_series(folder: Path, uid: str, members: Sequence[Row]) -> Iterator[Row]:
    """The slices of a series; those that make no volume stay files."""
    reference = f"{folder}::{uid}"
    if len(members) == 1 or not uid:
        yield from members
        return
    try:
        order = files_in_order(reference)
    except DataError:
        yield from members
        return
    number = {path: place for place, path in enumerate(order)}
    for row in members:
        yield replace(row, path=f"{reference}[{number[row.path]}]")
