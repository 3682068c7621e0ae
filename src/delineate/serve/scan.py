"""From uploaded parts to files that can be predicted: recognised, unpacked, measured, in order."""

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path

from delineate.errors import DataError
from delineate.io import read_header
from delineate.io.volume import Header
from delineate.plan import Plan
from delineate.serve.dicom_size import refuse_large_dicom
from delineate.serve.kinds import recognise, refuse_detached
from delineate.serve.refusal import Refusal, too_large
from delineate.serve.unpack import gunzip, unzip_series
from delineate.serve.upload import Part

__all__ = ["check_grid", "take_scan"]

_FIELD = "image"
_UID = re.compile(r"[0-9.]{1,64}")
_PLANNED_SHARE = 4
"""On the model's grid a scan may take so many times the bytes that an upload may have: voxels
become float32 there, and finer."""


def take_scan(
    parts: Sequence[Part], channels: Sequence[str], folder: Path, *, max_bytes: int, series: str
) -> tuple[str, ...]:
    """The files of one scan in the order of the model's channels.

    Args:
        parts: One that holds all channels; or one for each channel, in the model's order under the
            field 'image', or in any order under the channels' names.
        channels: What the model needs.
        folder: Where unpacked files go.
        max_bytes: Of all channels together, unpacked.
        series: The SeriesInstanceUID to take from a DICOM archive; empty where it holds one.
    """
    if series and not _UID.fullmatch(series):
        raise Refusal(422, "'series' is no SeriesInstanceUID.", fix="Give digits and dots alone.")
    left = max_bytes
    paths, found = [], []
    for number, part in enumerate(_in_order(parts, channels)):
        place = _unpack(part.path, folder / f"scan{number}", max_bytes)
        if series and not place.is_dir():
            raise Refusal(422, "'series' names a part of a zip.", fix="Leave it out.")
        path = f"{place}::{series}" if series else str(place)
        header = _read_header(path)
        left -= prod(header.shape) * header.channels * header.dtype.itemsize
        if left < 0:
            raise too_large(max_bytes, "the scan, once unpacked,")
        paths.append(path)
        found.append(header)
    _check_channels(found, channels)
    return tuple(paths)


def check_grid(path: str, plans: Sequence[Plan], *, max_bytes: int) -> None:
    """Refuse a scan whose axes or whose spacing would make it enormous on a model's grid."""
    header = read_header(path)
    for plan in plans:
        if len(header.shape) != len(plan.spacing):
            raise Refusal(
                422,
                f"the image has {len(header.shape)} spatial axes, but the model is for "
                f"{len(plan.spacing)}.",
                fix="Send a volume." if len(plan.spacing) == 3 else "Send a picture.",
            )
        extent = [n * mm for n, mm in zip(header.shape, header.spacing, strict=True)]
        voxels = prod(mm / step for mm, step in zip(extent, plan.spacing, strict=True))
        if 4 * voxels * len(plan.channels) > _PLANNED_SHARE * max_bytes:
            raise Refusal(
                413,
                f"the scan covers {_by(extent)} mm, {voxels:.2g} voxels on the model's grid.",
                fix="Check its spacing, or start the service with a larger --max-mb.",
            )


def _in_order(parts: Sequence[Part], channels: Sequence[str]) -> list[Part]:
    fields = [part.field for part in parts]
    if not parts:
        raise Refusal(
            422, "the form holds no image.", fix=f"Send one: curl -F {_FIELD}=@scan.nii.gz URL"
        )
    if len(parts) == len(channels) > 1 and sorted(fields) == sorted(channels):
        return sorted(parts, key=lambda part: channels.index(part.field))
    if set(fields) == {_FIELD} and len(parts) in (1, len(channels)):
        return list(parts)
    if len(parts) == 1 and fields[0] in channels:
        return list(parts)
    names = ", ".join(channels)
    raise Refusal(
        422,
        f"the form holds {len(parts)} part{'s' * (len(parts) > 1)} that are not the model's "
        f"{len(channels)} channel{'s' * (len(channels) > 1)}: {names}.",
        fix=f"Send one file as '{_FIELD}', or one for each channel under its name.",
    )


def _unpack(part: Path, place: Path, max_bytes: int) -> Path:
    """The file, or the folder of a series, that the readers know by its name."""
    suffix = recognise(part)
    if suffix == ".zip":
        unzip_series(part, place, max_bytes=max_bytes)
        part.unlink()
        refuse_large_dicom(sorted(place.iterdir()), max_bytes)
        return place
    if suffix == ".gz":
        unpacked = part.with_suffix(".unpacked")
        gunzip(part, unpacked, max_bytes=max_bytes)
        part.unlink()
        part, suffix = unpacked, recognise(unpacked)
        if suffix != ".nii":
            raise Refusal(
                415, "the gzip file holds no NIfTI file.", fix="Send the file itself, or a zip."
            )
    refuse_detached(part, suffix)
    if suffix == ".dcm":
        refuse_large_dicom([part], max_bytes)
    return part.rename(place.with_name(place.name + suffix))


def _read_header(path: str) -> Header:
    try:
        return read_header(path)
    except DataError as error:
        # What dicom.py advises for a folder, in the words of the service.
        advice = re.search(r"name one, such as \S+::([0-9.]+)", str(error))
        if advice is None:
            raise
        said = str(error).partition("Fix:")[0].strip()
        said = said.replace(path, "the zip")
        raise Refusal(400, said, fix=f"Name one: ?series={advice[1]}") from None


def _check_channels(found: Sequence[Header], channels: Sequence[str]) -> None:
    """As many images as the model needs, on one grid."""
    count = sum(header.channels for header in found)
    if count != len(channels):
        raise Refusal(
            422,
            f"the scan has {count} channel{'s' * (count > 1)}, but the model needs "
            f"{len(channels)}: {', '.join(channels)}.",
            fix="Send one file for each channel, or one that holds them all.",
        )
    shapes = {header.shape for header in found}
    if len(shapes) > 1:
        told = " and ".join(_by(shape) for shape in sorted(shapes))
        raise Refusal(
            422,
            f"the channels do not lie on one grid: {told} voxels.",
            fix="Resample them to the grid of the first.",
        )


def _by(sizes: Sequence[float]) -> str:
    return "x".join(f"{size:g}" for size in sizes)
