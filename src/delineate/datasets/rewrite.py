"""One case written into nnU-Net's raw layout, mended where that is safe."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delineate.datasets.case import Case
from delineate.datasets.mending import Note, align, fill, mend_values
from delineate.errors import DataError
from delineate.io import Volume, read_header, read_mask, read_volume, write_image, write_mask
from delineate.io.paths import suffix_of
from delineate.labels import Labels

__all__ = ["Copy", "write_case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """How the cases of a repaired copy are written."""

    out: Path
    labels: Labels | None
    only: int | None
    """The id of the single class; None where there are several."""
    ending: str
    """The suffix of every file."""


class _File(NamedTuple):
    source: str | None
    """To be copied byte for byte; None: to be written from the array."""
    array: np.ndarray


def write_case(case: Case, kinds: Collection[str], copy: Copy) -> tuple[int, list[Note]]:
    """Write images and label; how many channels there are, and what was mended.

    Nothing is written where mending would be guessing (Hopeless).
    """
    images = [read_volume(path) for path in case.images]
    files: list[_File] = []
    notes: list[Note] = []
    for i, (path, image) in enumerate(zip(case.images, images, strict=True)):
        name = f"image {i}" if i else "the image"
        array, found = align(image, images[0], name=name)
        array, filled = fill(array, name=name)
        found = [*found, *filled, *_squeezed(path, name)]
        source = None if found else _plain(path, copy.ending)
        files += [_File(source, channel[None]) for channel in array]
        notes += found
    label = None
    if case.label is not None:
        label, found = _label(case.label, images[0], kinds, copy)
        notes += found
    part = "Ts" if case.split == "test" else "Tr"
    for number, file in enumerate(files):
        target = copy.out / f"images{part}" / f"{case.id}_{number:04d}{copy.ending}"
        _put(file, target, write_image, images[0])
    if label is not None:
        _put(label, copy.out / f"labels{part}" / f"{case.id}{copy.ending}", write_mask, images[0])
    return len(files), notes


def _label(
    path: str, image: Volume, kinds: Collection[str], copy: Copy
) -> tuple[_File, list[Note]]:
    try:
        volume = read_mask(path)
    except DataError:  # its values are what is to be mended
        volume = read_volume(path)
    array, aligned = align(volume, image, name="the label")
    array, notes = mend_values(array, kinds, only=copy.only, labels=copy.labels)
    notes = [*aligned, *notes, *_squeezed(path, "the label")]
    return _File(None if notes else _plain(path, copy.ending), array), notes


def _plain(path: str, ending: str) -> str | None:
    """The path, if the file can be copied as it is: one file of that suffix with one channel."""
    if "::" in path or Path(path).is_dir() or suffix_of(path) != ending:
        return None
    return path if read_header(path).channels == 1 else None


def _squeezed(path: str, name: str) -> list[Note]:
    """A note where a NIfTI file has axes of length one that its grid does not need."""
    header = read_header(path)
    stored = header.grid.header
    if stored is None or header.channels > 1 or int(stored["dim"][0]) <= 3:
        return []
    return [("layout", f"axes of length one dropped from {name}")]


def _put(
    file: _File, target: Path, write: Callable[[Path, np.ndarray, Volume], None], like: Volume
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.source is None:
        write(target, file.array, like)
    else:
        shutil.copyfile(file.source, target)
