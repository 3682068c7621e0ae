"""DICOM-SEG: classes as segments that refer to the series on which they were drawn.

A binary segment holds one bit per voxel, a fractional one a probability as 0..255. Frames in which
a segment has nothing are left out, so a reader takes what is missing as empty. Patient, study and
frame of reference are those of the series. Segments may overlap; each has the name of its class and
stands under the general code for an anatomical structure, since names follow no terminology.

`dicom_seg_header.py` says what stands around the frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from delineate.errors import DataError, require
from delineate.io.blocks import Write, place_on_source
from delineate.io.dicom import read_frames
from delineate.io.dicom_seg_header import Frame, Segment, Source, header_of
from delineate.io.mapped import MappedArray
from delineate.io.orient import on_source_axes
from delineate.io.paths import DICOM, atomic_path, split_reference, suffix_of
from delineate.io.volume import Volume
from delineate.labels import Labels

__all__ = ["check_series", "write_dicom_seg", "writing_fractions"]

_FRACTIONS = 255


def check_series(series: str) -> None:
    """A scan that is no DICOM series or file, going by its name, is a DataError."""
    if suffix_of(series) not in DICOM and not Path(split_reference(series).path).is_dir():
        raise DataError(
            f"{series}: a DICOM-SEG refers to the DICOM images that it was drawn on, and this scan "
            "is none. Fix: predict the DICOM folder, or write .nii.gz."
        )


def write_dicom_seg(
    path: Path, array: np.ndarray, like: Volume, *, labels: Labels, series: str
) -> None:
    """Write ids (*s) or layers (k, *s), canonical, as a binary DICOM-SEG: one segment per class.

    Args:
        path: Ends in .dcm.
        array: The mask.
        like: The scan that it is of, as `read_volume` gave it.
        labels: Classes with an id of their own become segments, numbered from 1 in their order.
        series: The DICOM folder or file of the scan; another kind of scan is a DataError.
    """
    source = _source(series, like)
    with_channels = array if labels.overlapping else array.reshape(1, *like.shape)
    view = on_source_axes(with_channels, like)
    segments = [Segment(leaf.name, leaf.colour) for leaf in labels.leaves]
    with TemporaryFile() as file:
        packed = _Bits(file)
        frames = []
        for number, leaf in enumerate(labels.leaves, 1):
            layer = view[number - 1] != 0 if labels.overlapping else view[0] == leaf.id
            for index in np.flatnonzero(layer.any(axis=(0, 1))).tolist():
                packed.add(layer[:, :, index].T)
                frames.append(Frame(number, index))
        if not frames:
            # A file must have a frame: an empty one says that nothing was found.
            packed.add(np.zeros(source.size, bool))
            frames.append(Frame(1, 0))
        packed.end()
        _save(path, source, segments, frames, file=file, fractional=False)


@contextmanager
def writing_fractions(path: Path, like: Volume, *, labels: Labels, series: str) -> Iterator[Write]:
    """A way to write probabilities of all network channels, block by block along `block_axis`.

    They end as a fractional DICOM-SEG of the classes; the background, which is what they leave
    over, is dropped.
    """
    source = _source(series, like)
    first = 0 if labels.overlapping else 1
    shape = (len(labels.leaves), *like.source.shape[::-1])
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    values = MappedArray.nameless(shape, np.uint8, folder=folder)

    def write(start: int, block: np.ndarray) -> None:
        place, view = place_on_source(start, block[first:], like)
        fractions = np.rint(np.clip(view, 0, 1) * _FRACTIONS).astype(np.uint8)
        values.write(place[::-1], fractions.transpose(0, 3, 2, 1))

    yield write
    segments = [Segment(leaf.name, leaf.colour) for leaf in labels.leaves]
    with TemporaryFile(dir=folder) as file:
        frames = []
        for number, layer in enumerate(values.array, 1):
            for index, plane in enumerate(layer):
                if plane.any() or (number, index) == (len(segments), len(layer) - 1):
                    file.write(plane.tobytes())
                    frames.append(Frame(number, index))
            values.release()
        _save(path, source, segments, frames, file=file, fractional=True)


class _Bits:
    """Planes of one bit per pixel, one after the other without padding between them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = np.zeros(0, bool)

    def add(self, plane: np.ndarray) -> None:
        bits = np.concatenate((self._rest, plane.ravel()))
        whole = bits.size // 8 * 8
        self._file.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._rest = bits[whole:]

    def end(self) -> None:
        self._file.write(np.packbits(self._rest, bitorder="little").tobytes())


def _save(
    path: Path,
    source: Source,
    segments: list[Segment],
    frames: list[Frame],
    *,
    file: BinaryIO,
    fractional: bool,
) -> None:
    dataset = header_of(source, segments, frames, fractional=fractional)
    if file.tell() % 2:
        file.write(b"\0")
    file.seek(0)
    # From the file, piece by piece: the frames are never in memory as a whole.
    dataset.add_new("PixelData", "OB", file)
    with atomic_path(path) as part:
        dataset.save_as(part, enforce_file_format=True)


def _source(series: str, like: Volume) -> Source:
    """The headers of the series in the order of its slices."""
    pydicom = require("pydicom", extra="dicom")
    check_series(series)
    frames = read_frames(str(series))
    if not frames[0].position:
        raise DataError(
            f"{series}: the images do not say where they lie (no ImagePositionPatient), so a "
            "DICOM-SEG cannot refer to their place. Fix: write .png or .nii.gz."
        )
    headers = {
        file: pydicom.dcmread(file, stop_before_pixels=True)
        for file in dict.fromkeys(frame.path for frame in frames)
    }
    return Source(
        headers=[headers[frame.path] for frame in frames],
        numbers=[frame.index + 1 for frame in frames],
        affine=like.source.affine,
        size=frames[0].size,
    )
