"""DICOM: a folder is one series; a single file is a picture, a slice or an enhanced multi-frame.

Slices are ordered by where they lie, never by name or number. The file's own axes are columns,
rows, slices, as in ITK; patient LPS millimetres become RAS+. A series whose slices drift sideways
(gantry tilt) keeps its shear in the affine. A file without a position (an X-ray) is a picture:
rows, columns. Stored values are rescaled; MONOCHROME1 is not inverted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError, require
from delineate.io.paths import has_dicom_mark, missing, split_reference
from delineate.io.volume import Grid, Stored

__all__ = ["Frame", "list_series", "read", "read_frames", "read_header"]

_TOLERANCE_MM = 0.02
_TOLERANCE_SHARE = 0.02
"""How far a slice may lie from its place, in mm or as a share of the gap, whichever is more."""
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One plane of pixels: where it is stored and where it lies."""

    path: Path
    index: int
    """Among the frames of its file."""
    size: tuple[int, int]
    """Rows, columns."""
    channels: int
    dtype: np.dtype
    spacing: tuple[float, float]
    """mm between rows, between columns."""
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    """Empty, as is the orientation, where the file does not say."""
    scale: tuple[float, float]


def read(reference: str) -> Stored:
    """All slices of the series, in order, as one volume."""
    frames = read_frames(reference)
    grid, channels, dtype = _facts(frames, reference)
    first = frames[0]
    stack = np.empty((len(frames), *first.size, channels), dtype)
    open_file: tuple[Path, np.ndarray] | None = None
    for frame, target in zip(frames, stack, strict=True):
        if open_file is None or open_file[0] != frame.path:
            open_file = (frame.path, _pixels(frame))
        planes = open_file[1].reshape(-1, *first.size, channels)
        slope, intercept = frame.scale
        target[...] = (
            planes[frame.index]
            if frame.scale == (1, 0)
            else (planes[frame.index] * np.float64(slope) + intercept)
        )
    if len(grid.shape) == 2:
        return Stored(array=np.moveaxis(stack[0], -1, 0), grid=grid)
    return Stored(array=stack.transpose(3, 2, 1, 0), grid=grid)


def read_header(reference: str) -> tuple[Grid, int, np.dtype]:
    """Grid, channels and value type, from the headers of all slices."""
    return _facts(read_frames(reference), reference)


def _facts(frames: Sequence[Frame], reference: str) -> tuple[Grid, int, np.dtype]:
    first = frames[0]
    scaled = any(frame.scale != (1, 0) for frame in frames)
    dtype = np.dtype(np.float32) if scaled and first.dtype.kind in "iu" else first.dtype
    if not first.position:
        affine = np.diag([*first.spacing, 1.0, 1.0])
        return Grid(shape=first.size, affine=affine), first.channels, dtype
    affine = _affine(frames)
    if not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise DataError(f"{reference}: the slices do not span space:\n{affine[:3]}")
    rows, columns = first.size
    return Grid(shape=(columns, rows, len(frames)), affine=affine), first.channels, dtype


def _affine(frames: Sequence[Frame]) -> np.ndarray:
    """RAS+ mm of (column, row, slice); one slice alone is as thick as its pixels are wide."""
    first, last = frames[0], frames[-1]
    along_row, along_column = np.array(first.orientation).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = along_row * first.spacing[1]
    affine[:3, 1] = along_column * first.spacing[0]
    if len(frames) > 1:
        affine[:3, 2] = np.subtract(last.position, first.position) / (len(frames) - 1)
    else:
        affine[:3, 2] = np.cross(along_row, along_column) * first.spacing[0]
    affine[:3, 3] = first.position
    return _LPS_TO_RAS @ affine


def read_frames(reference: str) -> list[Frame]:
    """The planes of the one series that is meant, checked and in order."""
    path, uid, _ = split_reference(reference)
    place = Path(path)
    if not place.exists():
        raise missing(path)
    headers = _series(place, uid) if place.is_dir() else [(place, _header(place))]
    frames = [frame for file, header in headers for frame in _split(file, header)]
    if len(frames) == 1:
        return frames
    lost = [frame.path.name for frame in frames if not frame.position]
    if lost:
        raise DataError(
            f"{reference}: {len(lost)} of {len(frames)} slices do not say where they lie "
            f"(ImagePositionPatient is missing): {_some(lost)}."
        )
    for facts in ("size", "spacing", "orientation", "channels"):
        _check_alike(frames, facts, reference)
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    ordered = sorted(frames, key=lambda frame: float(normal @ frame.position))
    _check_gaps(ordered, normal, reference)
    return ordered


def list_series(folder: Path) -> tuple[str, ...]:
    """The UIDs of the series of images that lie directly in a folder, in the order of its files.

    Segmentations drawn on them are images in form only, and left out.
    """
    return tuple(
        uid for uid, found in _by_uid(folder).items() if found[0][1].get("Modality") != "SEG"
    )


def _by_uid(folder: Path) -> dict[str, list[tuple[Path, Any]]]:
    """Headers by series; files that are no images, such as a licence, are passed over."""
    by_uid: dict[str, list[tuple[Path, Any]]] = {}
    for file in (file for file in sorted(folder.iterdir()) if has_dicom_mark(file)):
        header = _header(file)
        if "Rows" in header:
            by_uid.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    return by_uid


def _series(folder: Path, uid: str | None) -> list[tuple[Path, Any]]:
    """The headers of one series."""
    by_uid = _by_uid(folder)
    listing = "".join(
        f"\n  {key} ({len(found)} files, {_description(found[0][1])})"
        for key, found in by_uid.items()
    )
    if not by_uid:
        raise DataError(f"{folder}: no DICOM image lies directly in this folder.")
    if uid is None and len(by_uid) > 1:
        raise DataError(
            f"{folder}: {len(by_uid)} series in one folder:{listing}\n"
            f"  Fix: name one, such as {folder}::{next(iter(by_uid))}"
        )
    if uid is not None and uid not in by_uid:
        raise DataError(f"{folder}: no series {uid}. There are:{listing}")
    return by_uid[uid if uid is not None else next(iter(by_uid))]


def _description(header: Any) -> str:
    return str(header.get("SeriesDescription") or "no description")


def _header(path: Path) -> Any:
    pydicom = require("pydicom", extra="dicom")
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable DICOM file: {error}") from None


def _pixels(frame: Frame) -> np.ndarray:
    """All frames of the file."""
    pydicom = require("pydicom", extra="dicom")
    try:
        return pydicom.dcmread(frame.path).pixel_array
    except Exception as error:  # decoders of many packages, each with its own kind of error
        raise DataError(
            f"{frame.path}: the pixels cannot be decoded: {error}\n"
            '  Fix: fetch the file again, or pip install "delineate[dicom]" for compressed ones.'
        ) from None


def _split(path: Path, header: Any) -> list[Frame]:
    """The frames of one file; an enhanced file says for each where it lies."""
    if "Rows" not in header:
        raise DataError(f"{path}: holds no image (modality {header.get('Modality', 'unknown')}).")
    if (
        "ModalityLUTSequence" in header
        or header.get("PhotometricInterpretation") == "PALETTE COLOR"
    ):
        raise DataError(f"{path}: its values go through a lookup table, which is not read.")
    count = int(header.get("NumberOfFrames") or 1)
    shared = _first(header, "SharedFunctionalGroupsSequence")
    groups = header.get("PerFrameFunctionalGroupsSequence") or [None] * count
    if count > 1 and (groups[0] is None or len(groups) != count):
        raise DataError(f"{path}: {count} frames that do not say where they lie.")
    return [_frame(path, index, header, (group, shared)) for index, group in enumerate(groups)]


def _frame(path: Path, index: int, header: Any, groups: tuple[Any, Any]) -> Frame:
    def numbers(sequence: str, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        places = [_first(group, sequence) for group in groups] + [header]
        found = [place.get(name) for place in places if place is not None]
        value = next((value for value in found if value not in (None, "")), default)
        return tuple(np.atleast_1d(np.array(value, np.float64)).tolist())

    imager = numbers("", "ImagerPixelSpacing", (1.0, 1.0))
    spacing = numbers("PixelMeasuresSequence", "PixelSpacing", imager)
    slope = numbers("PixelValueTransformationSequence", "RescaleSlope", (1.0,))
    intercept = numbers("PixelValueTransformationSequence", "RescaleIntercept", (0.0,))
    position = numbers("PlanePositionSequence", "ImagePositionPatient", ())
    orientation = numbers("PlaneOrientationSequence", "ImageOrientationPatient", ())
    placed = len(position) == 3 and len(orientation) == 6
    return Frame(
        path=path, index=index, size=(int(header.Rows), int(header.Columns)),
        channels=int(header.get("SamplesPerPixel") or 1), dtype=_dtype(header),
        spacing=(spacing[0], spacing[1]), orientation=orientation if placed else (),
        position=position if placed else (), scale=(slope[0], intercept[0]),
    )  # fmt: skip


def _first(group: Any, sequence: str) -> Any:
    """The first item of a sequence, or None."""
    items = group.get(sequence) if group is not None and sequence else None
    return items[0] if items else None


def _dtype(header: Any) -> np.dtype:
    bits = int(header.get("BitsAllocated") or 16)
    # Only float pixels come without a sign flag.
    kind = {0: "u", 1: "i", None: "f"}[header.get("PixelRepresentation")]
    return np.dtype(f"{kind}{max(1, bits // 8)}")


def _check_alike(frames: Sequence[Frame], name: str, reference: str) -> None:
    first = getattr(frames[0], name)
    odd = [f for f in frames if not np.allclose(getattr(f, name), first, rtol=1e-4, atol=1e-4)]
    if odd:
        raise DataError(
            f"{reference}: the slices differ in {name}: {frames[0].path.name} has {first}, "
            f"{odd[0].path.name} has {getattr(odd[0], name)} ({len(odd)} of {len(frames)} differ "
            "from the first). Fix: put one scan into one folder."
        )


def _check_gaps(frames: Sequence[Frame], normal: np.ndarray, reference: str) -> None:
    """Each slice one step after the one before, along the normal and sideways."""
    steps = np.diff([frame.position for frame in frames], axis=0)
    gaps = steps @ normal
    usual = float(np.median(gaps))
    allowed = max(_TOLERANCE_MM, _TOLERANCE_SHARE * usual)
    pairs = [f"{a.path.name} and {b.path.name}" for a, b in pairwise(frames)]
    same = np.flatnonzero(gaps < _TOLERANCE_MM / 2)
    if len(same):
        raise DataError(
            f"{reference}: {len(same)} slices lie at the place of another one, such as "
            f"{pairs[same[0]]}: more than one echo, time or weighting, or a slice twice. "
            "Fix: put one scan into one folder."
        )
    odd = np.flatnonzero(np.abs(steps - np.median(steps, axis=0)).max(axis=1) > allowed)
    if not len(odd):
        return
    missing_slices = int(sum(round(gaps[i] / usual) - 1 for i in odd))
    kind = f"{missing_slices} missing" if missing_slices > 0 else "unequal gaps"
    places = "; ".join(f"{gaps[i]:.3f} mm between {pairs[i]}" for i in odd[:3])
    raise DataError(
        f"{reference}: {kind} among {len(frames)} slices that lie {usual:.3f} mm apart: {places}"
        f"{' ...' if len(odd) > 3 else '.'} Fix: fetch the series again."
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
