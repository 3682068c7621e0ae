"""One case: each of its files is read once, measured, and checked against the others."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delineate.datasets.alignment import codes, is_degenerate, misfit
from delineate.datasets.case import Case, Dataset
from delineate.datasets.findings import Facts, Finding, Intensity, finding
from delineate.datasets.marks import Marks, check_marks, measure_marks, unusable_values
from delineate.errors import DataError, MissingExtra
from delineate.io import Volume, read_mask, read_volume

__all__ = ["Channel", "Checked", "check_case", "thumbnail"]

_BLOCKS = {1: 512, 2: 22, 3: 8}
"""Blocks along each axis of a thumbnail, by number of axes: about 500 in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What is kept of one channel to find its twin in another case."""

    path: str
    index: int
    """Which channel of that file."""
    shape: tuple[int, ...]
    thumbnail: np.ndarray
    """Means of about 500 blocks: cheap to compare, and few different images share them."""
    intensity: Intensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A case's facts and findings, and what the comparison with other cases needs."""

    case: Case
    facts: Facts
    findings: tuple[Finding, ...]
    channels: tuple[Channel, ...] = ()
    """Empty unless every image could be read."""
    marks: Marks | None = None
    """None without a readable label."""


def check_case(case: Case, dataset: Dataset) -> Checked:
    """Examine one case; whatever goes wrong is a finding of that case."""
    found: list[Finding] = []
    try:
        return _check(case, dataset, found)
    except MissingExtra:
        raise
    except Exception as error:  # one case may fail in a way of its own; the others must be examined
        message = f"{case.id}: {type(error).__name__}: {error}"
        found.append(finding("unexpected", case.id, message))
        return Checked(case=case, facts=Facts(case=case.id), findings=tuple(found))


def thumbnail(array: np.ndarray) -> np.ndarray:
    """Means over a coarse grid of blocks, flat, of one channel (*s)."""
    sums, counts = array, np.ones(())
    for axis in reversed(range(array.ndim)):
        size = array.shape[axis]
        blocks = min(size, _BLOCKS.get(array.ndim, 4))
        starts = np.arange(blocks) * size // blocks
        sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.float64)
        counts = np.multiply.outer(np.diff(starts, append=size), counts)
    return (sums / counts).ravel()


def _check(case: Case, dataset: Dataset, found: list[Finding]) -> Checked:
    images = [v for path in case.images if (v := _image(case, path, found)) is not None]
    label, usable = _label(case, found)
    complete = len(images) == len(case.images)
    channels = _channels(case, dataset, images, found) if complete else []
    if images:
        _check_grids(case, images, label, found)
    facts = _image_facts(case, images, channels) if channels else Facts(case=case.id)
    if label is None or not usable:
        return Checked(case=case, facts=facts, findings=tuple(found), channels=tuple(channels))
    marks = measure_marks(label)
    found += check_marks(case, marks, dataset.labels)
    if any(_shows(image, label, marks) for image in images):
        found.append(finding("image-is-label", case.id, "the image holds the label's own values."))
    return Checked(
        case=case,
        facts=_with_marks(facts, marks),
        findings=tuple(found),
        channels=tuple(channels),
        marks=marks,
    )


def _image(case: Case, path: str, found: list[Finding]) -> Volume | None:
    if not _exists(path):
        found.append(finding("missing-image", case.id, f"{path} does not exist."))
        return None
    try:
        volume = read_volume(path)
    except DataError as error:
        found.append(finding("unreadable", case.id, str(error)))
        return None
    return volume if _sound(case, path, volume, found) else None


def _label(case: Case, found: list[Finding]) -> tuple[Volume | None, bool]:
    """The label and whether its values are those of a mask; if not, it is for its grid only."""
    if case.label is None:
        return None, False
    if not _exists(case.label):
        found.append(finding("missing-label", case.id, f"{case.label} does not exist."))
        return None, False
    volume, usable = None, True
    try:
        volume = read_mask(case.label)
    except DataError as error:
        usable = False
        try:
            volume = read_volume(case.label)
        except DataError:
            found.append(finding("unreadable", case.id, str(error)))
            return None, False
        reasons = unusable_values(case, volume.array)
        found += reasons or [finding("unreadable", case.id, str(error))]
    return (volume, usable) if _sound(case, case.label, volume, found) else (None, False)


def _exists(path: str) -> bool:
    return Path(path.split("::")[0]).exists()


def _sound(case: Case, path: str, volume: Volume, found: list[Finding]) -> bool:
    """Whether the grid can be worked with; more bytes than the header declares are a finding."""
    surplus = _surplus(path, volume.source.header)
    if surplus:
        found.append(finding("size-mismatch", case.id, f"{path}: {surplus}"))
    if volume.array.size == 0 or is_degenerate(volume):
        text = f"{path}: its shape is {volume.shape} and its affine {volume.affine.tolist()}."
        found.append(finding("degenerate-grid", case.id, text))
        return False
    return True


def _surplus(path: str, header: np.ndarray | None) -> str:
    """What a NIfTI file holds beyond the voxels that its header declares; empty up to 1 %."""
    if header is None:
        return ""
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        if path.lower().endswith(".gz"):  # the trailer has the length modulo 4 GiB
            file.seek(-4, 2)
            size = int.from_bytes(file.read(4), "little")
    dims = header["dim"][1 : int(header["dim"][0]) + 1].astype(np.int64)
    declared = int(dims.prod()) * int(header["bitpix"]) // 8
    surplus = size - max(int(header["vox_offset"]), 0) - declared
    if declared <= 0 or surplus <= max(1024, declared // 100):
        return ""
    shape = "x".join(map(str, dims.tolist()))
    return f"the header declares {shape} ({declared} bytes), but {surplus} more bytes follow."


def _channels(
    case: Case, dataset: Dataset, images: list[Volume], found: list[Finding]
) -> list[Channel]:
    made: list[Channel] = []
    for path, image in zip(case.images, images, strict=True):
        for index, array in enumerate(image.array):
            name = _channel_name(dataset, len(made))
            intensity, bad = _intensity(array)
            if bad:
                found.append(finding("not-finite", case.id, f"{name} has {bad}."))
                array = np.where(np.isfinite(array), array, intensity.minimum)
            if intensity.minimum == intensity.maximum:
                text = f"{name} is {intensity.minimum:g} in every voxel."
                found.append(finding("constant-image", case.id, text))
            small = thumbnail(array)
            made.append(
                Channel(
                    path=path, index=index, shape=image.shape, thumbnail=small, intensity=intensity
                )
            )
    return made


def _channel_name(dataset: Dataset, index: int) -> str:
    if len(dataset.channels) == 1:
        return "the image" if index == 0 else f"channel {index}"
    named = dataset.channels[index : index + 1]
    return f"channel {index} ({named[0]})" if named else f"channel {index}"


def _intensity(array: np.ndarray) -> tuple[Intensity, str]:
    """The range and mean of the finite values, and how many are not finite, in words."""
    low, high = float(array.min()), float(array.max())
    if np.isfinite(low) and np.isfinite(high):
        return Intensity(low, high, float(array.mean(dtype=np.float64))), ""
    finite = array[np.isfinite(array)]
    nans = int(np.isnan(array).sum())
    infinite = array.size - finite.size - nans
    counted = ((nans, "NaN"), (infinite, "infinite"))
    words = " and ".join(f"{count} {what}" for count, what in counted if count)
    bad = f"{words} voxel{'s' * (nans + infinite > 1)} of {array.size}"
    if finite.size == 0:
        return Intensity(0.0, 0.0, 0.0), bad
    mean = float(finite.mean(dtype=np.float64))
    return Intensity(float(finite.min()), float(finite.max()), mean), bad


def _check_grids(
    case: Case, images: list[Volume], label: Volume | None, found: list[Finding]
) -> None:
    """Every channel's file and the label must lie on the first image's grid."""
    others = [(f"the file of channel {i}", image) for i, image in enumerate(images[1:], 1)]
    if label is not None:
        others.append(("the label", label))
    for name, volume in others:
        difference = misfit(images[0], volume, name="the image")
        if difference is not None:
            found.append(finding(difference.kind, case.id, f"{name} {difference.text}."))


def _image_facts(case: Case, images: list[Volume], channels: list[Channel]) -> Facts:
    first = images[0]
    return Facts(
        case=case.id,
        shape=first.shape,
        spacing=tuple(round(mm, 6) for mm in first.spacing),
        orientation=codes(first.source.affine, len(first.shape)),
        dtype=str(first.array.dtype),
        intensity=tuple(channel.intensity for channel in channels),
    )


def _with_marks(facts: Facts, marks: Marks) -> Facts:
    volume_ml = None
    if len(facts.shape) == 3:
        volume_ml = sum(marks.voxels.values()) * float(np.prod(facts.spacing)) / 1000
    return replace(facts, labels=marks.voxels, volume_ml=volume_ml)


def _shows(image: Volume, label: Volume, marks: Marks) -> bool:
    """Whether a channel is a picture of the mask: one grey value for each of the label's values."""
    mask = label.array[0]
    if image.shape != mask.shape or len(label.array) > 1 or not 0 < marks.foreground < mask.size:
        return False
    return any(_pictures(channel, mask, marks) for channel in image.array)


def _pictures(channel: np.ndarray, mask: np.ndarray, marks: Marks) -> bool:
    rest = channel.flat[int((mask == 0).argmax())]
    if int((channel != rest).sum()) != marks.foreground:
        return False
    inside = (channel[mask == value] for value in (0, *marks.voxels))
    return all(values.min() == values.max() for values in inside)
