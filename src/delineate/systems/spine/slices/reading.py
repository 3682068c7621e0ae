"""Slices as pictures of 8 bits, and masks as 0/1, from files and from scans.

A scan lies as `volume_pictures` lays it, and its mask with it.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from delineate.datasets.alignment import misfit
from delineate.errors import DataError
from delineate.io import Volume, picture, read_header, read_mask, read_volume
from delineate.io.dicom import read_frames
from delineate.io.orient import canonical, closest_axes
from delineate.io.paths import PICTURES, split_reference, suffix_of
from delineate.io.volume import Stored
from delineate.report.view import PLANES, Plane
from delineate.systems.spine.slices.png_pixels import read_png
from delineate.systems.spine.slices.volume_pictures import choose_plane, grey, pictures_of

__all__ = ["files_in_order", "read_mask_of", "read_picture", "read_slice"]

SCANS_KEPT = 4
"""Scans that a process holds at a time."""


def read_slice(reference: str) -> np.ndarray:
    """(rows, columns), or (rows, columns, 3) in colour, 8 bits each.

    8 bits stay as they are; deeper values are scaled between two percentiles, of the picture or of
    the scan that it is cut from.
    """
    place, word, number = split_reference(reference)
    if word is not None and number is not None:
        return _pictures(place, word)[number]
    if suffix_of(place) in PICTURES:
        return read_picture(place)
    volume = read_volume(place)
    if len(volume.shape) == 2:
        return _flat(volume.array, place)
    return pictures_of(volume, choose_plane(volume, stacked=True))[0]


def read_picture(path: str | Path) -> np.ndarray:
    """(rows, columns), or (rows, columns, 3) in colour, of a picture, 8 bits each."""
    plain = read_png(str(path))
    if plain is not None:
        return plain
    array = picture.read(str(path)).array
    if array.dtype == np.uint8 and array.max(initial=0) <= 1 and _is_one_bit(path):
        array = array * np.uint8(255)
    return _flat(array, str(path))


def _is_one_bit(path: str | Path) -> bool:
    """Whether a picture is black and white, 0 and 1."""
    from PIL import Image

    with Image.open(path) as image:
        return image.mode == "1"


def _flat(array: np.ndarray, path: str) -> np.ndarray:
    """(c, rows, columns) as a picture."""
    if array.ndim != 3 or len(array) not in (1, 3):
        raise DataError(
            f"{path}: holds {'x'.join(map(str, array.shape))} values (channels first), which is no "
            "single picture in grey or colour. Fix: save each slice as a file of its own."
        )
    pixels = grey(array)
    return pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def read_mask_of(image: str, mask: str) -> np.ndarray:
    """(rows, columns) uint8: 1 wherever the mask of a slice is above 0.

    A JPEG blurs borders: there it is 1 above half of its brightest value.

    Args:
        image: The slice that it belongs to, and lies like.
        mask: Its file, or the slice of a scan.
    """
    place, word, number = split_reference(mask)
    if word is not None and number is not None:
        scan = split_reference(image)
        return _mask_pictures(place, scan.path, word)[number]
    if suffix_of(place) not in PICTURES:
        volume = read_mask(place)
        if len(volume.shape) == 2:
            return _above(volume.array)
        return _pictures_of_mask(volume, choose_plane(volume, stacked=True))[0]
    plain = read_png(place)
    if plain is not None and plain.ndim == 2:
        return _laid_like(image, (plain > 0).view(np.uint8))
    array = picture.read(place, mask=True).array
    if array.ndim != 3:
        raise DataError(f"{place}: has several pages. Fix: save the mask of each slice alone.")
    drawn = array > array.max() / 2 if suffix_of(place) in (".jpg", ".jpeg") else array > 0
    return _laid_like(image, _above(drawn))


def _above(array: np.ndarray) -> np.ndarray:
    """(rows, columns) uint8, 1 where any channel is above 0."""
    if len(array) == 1:
        return (array[0] > 0).view(np.uint8)
    return np.any(array > 0, axis=0, keepdims=True)[0].astype(np.uint8)


def _laid_like(image: str, mask: np.ndarray) -> np.ndarray:
    """A mask drawn on the stored pixels of a DICOM slice, turned as its picture is."""
    place, word, number = split_reference(image)
    if suffix_of(place) in PICTURES:
        return mask
    file = place if word is None else files_in_order(f"{place}::{word}")[number or 0]
    volume = read_volume(file)
    if len(volume.shape) == 2:
        return mask
    stored = Stored(array=mask.T[None, ..., None], grid=volume.source)
    if stored.array.shape[1:] != tuple(volume.source.shape):
        return mask
    return _pictures_of_mask(canonical(stored), choose_plane(volume, stacked=True))[0]


@lru_cache(maxsize=SCANS_KEPT)
def files_in_order(series: str) -> tuple[str, ...]:
    """The file of each slice of a series `folder::UID`, as its volume counts them."""
    frames, header = read_frames(series), read_header(series)
    axis = choose_plane(header, stacked=True).axis
    assert axis is not None
    backwards = closest_axes(header.grid).flips[axis]
    return tuple(str(frame.path) for frame in frames[:: -1 if backwards else 1])


@lru_cache(maxsize=SCANS_KEPT)
def _pictures(place: str, word: str) -> np.ndarray:
    """All slices of a scan."""
    volume = _volume(place, word)
    try:
        return pictures_of(volume, _plane(volume, word))
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


@lru_cache(maxsize=SCANS_KEPT)
def _mask_pictures(mask: str, image: str, word: str) -> np.ndarray:
    """The slices of a scan's mask, which lies on its grid."""
    scan, drawn = _volume(image, word), read_mask(mask)
    wrong = misfit(scan, drawn, name=Path(image).name)
    if wrong is not None:
        raise DataError(f"{mask} {wrong.text}. Fix: draw masks on the grid of their scan.")
    return _pictures_of_mask(drawn, _plane(scan, word))


def _pictures_of_mask(mask: Volume, plane: Plane) -> np.ndarray:
    return pictures_of(replace(mask, array=_above(mask.array)[None]), plane)


def _volume(place: str, word: str) -> Volume:
    return read_volume(f"{place}::{word}" if Path(place).is_dir() else place)


def _plane(volume: Volume, word: str) -> Plane:
    named = {plane.name: plane for plane in PLANES}
    return named[word] if word in named else choose_plane(volume, stacked=True)
