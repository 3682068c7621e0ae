"""The slices of a series as the networks are shown them, and masks of them as files.

A mask has the size, the axes and the place of what it was drawn on: a PNG as large as its picture,
a scan on its own grid, a DICOM-SEG that refers to its series.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io import Volume, atomic_path, read_volume, stem, write_mask
from delineate.io.dicom_seg import write_dicom_seg
from delineate.io.paths import suffix_of
from delineate.io.write import WRITABLE
from delineate.labels import Labels
from delineate.report.view import Plane
from delineate.systems.spine.slices.reading import read_picture, read_slice
from delineate.systems.spine.slices.series import Series
from delineate.systems.spine.slices.volume_pictures import (
    Cut,
    choose_plane,
    pictures_of,
    to_volume,
)

__all__ = ["Slices", "mask_files", "read_slices", "write_masks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The volume that slices were cut from."""

    volume: Volume
    plane: Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """A series that was read."""

    series: Series
    pictures: tuple[np.ndarray, ...]
    """(rows, columns), or (rows, columns, 3) in colour, uint8 each."""
    names: tuple[str, ...]
    """Of each slice: its file's without the suffix, or the plane and its number from 0."""
    scan: Scan | None = None
    """None for pictures, which lie nowhere in space."""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Across and upwards; pixels of pictures count as squares of 1 mm."""
        if self.scan is None:
            rows, columns = self.pictures[0].shape[:2]
            return float(columns), float(rows)
        volume, plane = self.scan.volume, self.scan.plane
        across, up = (volume.shape[a] * volume.spacing[a] for a in (plane.across, plane.up))
        return across, up


def read_slices(series: Series, cut: Cut = "auto") -> Slices:
    """Every slice of a series; one that cannot be read is a DataError.

    Args:
        series: Where they are.
        cut: Which way a scan in one file is cut. A DICOM series is made of slices, and pictures
            are as they are.
    """
    if series.kind == "pictures":
        names = tuple(stem(file) for file in series.files)
        _refuse_twins(series, names)
        return Slices(series=series, pictures=tuple(map(read_picture, series.files)), names=names)
    (file,) = series.files
    volume = read_volume(file)
    if len(volume.shape) == 2:
        # A DICOM file that does not say where it lies.
        return Slices(series=series, pictures=(read_slice(file),), names=(series.name,))
    stacked = series.kind == "dicom"
    plane = choose_plane(volume, "auto" if stacked else cut, stacked=stacked)
    try:
        pictures = pictures_of(volume, plane)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    return Slices(
        series=series,
        pictures=tuple(pictures),
        names=tuple(f"{plane.name}_{number:03}" for number in range(len(pictures))),
        scan=Scan(volume=volume, plane=plane),
    )


def mask_files(slices: Slices, out: Path, *, prefix: str, nifti: bool = False) -> tuple[Path, ...]:
    """Where the masks of a series go: one file for each picture, or one for a scan.

    Args:
        out: The folder of the output.
        prefix: What the names begin with.
        nifti: Whether a DICOM series gets a NIfTI file in place of a DICOM-SEG.
    """
    folder, series = out / slices.series.folder, slices.series
    if slices.scan is None:
        return tuple(folder / f"{prefix}{name}.png" for name in slices.names)
    own = ".dcm" if series.kind == "dicom" else suffix_of(series.files[0])
    known = own == ".dcm" or own in WRITABLE
    suffix = own if known and not (nifti and own == ".dcm") else ".nii.gz"
    return (folder / f"{prefix}{series.name}{suffix}",)


def write_masks(
    slices: Slices, masks: Sequence[np.ndarray], files: Sequence[Path], *, labels: Labels
) -> None:
    """Write ids (rows, columns) of each slice into the files that `mask_files` named.

    In pictures, the only class there is becomes 255.
    """
    if slices.scan is None:
        for mask, file in zip(masks, files, strict=True):
            _write_picture(mask * 255 if len(labels.leaves) == 1 else mask, file)
        return
    (file,) = files
    volume, plane = slices.scan.volume, slices.scan.plane
    array = to_volume(np.stack(masks), plane)
    if suffix_of(file) == ".dcm":
        write_dicom_seg(file, array, volume, labels=labels, series=slices.series.files[0])
    else:
        write_mask(file, array, volume)


def _refuse_twins(series: Series, names: Sequence[str]) -> None:
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(
            f"{series.id}: {len(twice)} pictures differ in their suffix alone, such as "
            f"{twice[0]}; their masks would be one file. Fix: rename them."
        )


def _write_picture(mask: np.ndarray, file: Path) -> None:
    from PIL import Image

    with atomic_path(file) as part:
        Image.fromarray(np.ascontiguousarray(mask, np.uint8)).save(part)
