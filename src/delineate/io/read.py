"""Reading any scan or mask: the suffix chooses the format, the axes become RAS+."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delineate.errors import DataError
from delineate.io import dicom, hdf5, itk, nifti, picture
from delineate.io.mask import whole_numbers
from delineate.io.orient import canonical, canonical_header
from delineate.io.paths import (
    DICOM,
    HDF5,
    ITK,
    NIFTI,
    PICTURES,
    SUFFIXES,
    has_dicom_mark,
    missing,
    split_reference,
    suffix_of,
)
from delineate.io.volume import Grid, Header, Stored, Volume

__all__ = ["read_header", "read_mask", "read_volume"]


class _Format(NamedTuple):
    read: Callable[[str], Stored]
    read_header: Callable[[str], tuple[Grid, int, np.dtype]]


_DICOM = _Format(dicom.read, dicom.read_header)
_FORMATS = {
    **dict.fromkeys(NIFTI, _Format(nifti.read, nifti.read_header)),
    **dict.fromkeys(ITK, _Format(itk.read, itk.read_header)),
    **dict.fromkeys(HDF5, _Format(hdf5.read, hdf5.read_header)),
    **dict.fromkeys(PICTURES, _Format(picture.read, picture.read_header)),
    **dict.fromkeys(DICOM, _DICOM),
}


def read_volume(path: str | Path) -> Volume:
    """An image as it was measured: scaled, channels first, in RAS+ order."""
    return canonical(_format(path).read(str(path)))


def read_mask(path: str | Path) -> Volume:
    """A mask: whole numbers, (1, *s) or one channel for each overlapping class."""
    text = str(path)
    if suffix_of(text) in PICTURES:
        volume = canonical(picture.read(text, mask=True))
        array = picture.one_channel(volume.array, text)
        if suffix_of(text) in (".jpg", ".jpeg"):
            picture.check_lossless(array, text)
    else:
        volume = read_volume(text)
        array = volume.array
    array = whole_numbers(array, text)
    return Volume(array=array, affine=volume.affine, source=volume.source)


def read_header(path: str | Path) -> Header:
    """Shape, spacing and type as `read_volume` would return them, without reading voxels."""
    return canonical_header(*_format(path).read_header(str(path)))


def _format(path: str | Path) -> _Format:
    place, item, _ = split_reference(path)
    if Path(place).is_dir():
        return _DICOM
    suffix = suffix_of(place)
    if item is not None and suffix not in HDF5:
        raise (
            missing(place)
            if not Path(place).exists()
            else DataError(
                f"{path}: only an HDF5 file or a folder of DICOM files has parts after '::'."
            )
        )
    if suffix is not None:
        return _FORMATS[suffix]
    if not Path(place).exists():
        raise missing(place)
    if has_dicom_mark(place):
        return _DICOM
    raise DataError(
        f"{path}: the kind of file is not known. "
        f"Can be read: {' '.join(SUFFIXES)}, and a folder with one DICOM series."
    )
