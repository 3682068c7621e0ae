"""What should be there once and is there twice: images, channels, and masks.

Images are compared by content, so another type, scale, file format or name hides no copy: where
thumbnails of equal shape agree up to slope and intercept, the scans are read again and compared
voxel by voxel.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delineate.datasets.case import Case
from delineate.datasets.checkup import Channel, Checked
from delineate.datasets.findings import Finding, finding
from delineate.datasets.listing import subject_of
from delineate.io import read_volume

__all__ = ["find_copied_labels", "find_copies", "patient_of"]

_ALIKE = 0.9995
"""Correlation of thumbnails from which two images are looked at more closely."""
_STEP = 1 / 255
"""The coarsest rounding that a copy may have gone through, as part of the image's range."""
_PRIORS = "priors"
"""Channels from a folder of this name tell of places, not of patients: they may well be alike."""
_FEW_VOXELS = 8
"""Masks smaller than this may coincide."""


class _Entry(NamedTuple):
    checked: Checked
    number: int
    """Of the channel in its case."""
    channel: Channel


def find_copies(cases: Sequence[Checked]) -> list[Finding]:
    """Images that two cases share, in whole or one channel, and scans that fill two channels."""
    groups = _same_images(cases)
    found = _repeated_channels(groups)
    partners: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    position = {id(checked): i for i, checked in enumerate(cases)}
    for group in groups:
        for entry in group:
            mine = position[id(entry.checked)]
            for other in group:
                if other.checked is not entry.checked:
                    partners[mine][position[id(other.checked)]].add(entry.number)
    for mine, others in sorted(partners.items()):
        found.append(_duplicate(cases[mine], [(cases[i], others[i]) for i in sorted(others)]))
    return found


def find_copied_labels(cases: Sequence[Checked], duplicates: Sequence[Finding]) -> list[Finding]:
    """Masks that mark exactly the same voxels of different patients' images.

    The contrasts of one patient may well share a mask.
    """
    twins = {(f.case, other) for f in duplicates for other in f.others}
    groups: dict[bytes, list[Checked]] = defaultdict(list)
    for checked in cases:
        marks = checked.marks
        if marks and _FEW_VOXELS <= marks.foreground < np.prod(marks.shape) * marks.channels:
            groups[marks.digest].append(checked)
    found = []
    for group in groups.values():
        for checked in group:
            mine = checked.case.id
            strangers = (o.case for o in group if patient_of(o.case) != patient_of(checked.case))
            others = tuple(other.id for other in strangers if (mine, other.id) not in twins)
            if others:
                text = f"its mask marks the same voxels as that of {_names(others)}."
                found.append(finding("copied-label", mine, text, others=others))
    return found


def patient_of(case: Case) -> str:
    """The declared patient, else the BIDS subject that the id names, else the case itself."""
    if case.group not in ("", case.id):
        return case.group
    return subject_of(case.id) or case.id


def _duplicate(checked: Checked, others: list[tuple[Checked, set[int]]]) -> Finding:
    names = tuple(other.case.id for other, _ in others)
    all_channels = all(len(numbers) == len(checked.channels) for _, numbers in others)
    which = "" if all_channels else f" in channel {', '.join(map(str, sorted(others[0][1])))}"
    text = (
        f"its image is the same as that of {_names(names)}{which}{_label_words(checked, others)}."
    )
    return finding("duplicate-image", checked.case.id, text, others=names)


def _label_words(checked: Checked, others: list[tuple[Checked, set[int]]]) -> str:
    if checked.marks is None or any(other.marks is None for other, _ in others):
        return ""
    same = all(other.marks and other.marks.digest == checked.marks.digest for other, _ in others)
    return ", and so is its label" if same else ", but its label is not"


def _repeated_channels(groups: list[list[_Entry]]) -> list[Finding]:
    found = []
    for group in groups:
        numbers: dict[str, dict[str, int]] = defaultdict(dict)
        for entry in group:  # by file: a grey picture saved in colour is no fault
            numbers[entry.checked.case.id].setdefault(entry.channel.path, entry.number)
        for case, repeated in numbers.items():
            if len(repeated) > 1:
                which = " and ".join(map(str, sorted(repeated.values())))
                text = f"channels {which} are the same image."
                found.append(finding("repeated-channel", case, text))
    return found


def _same_images(cases: Sequence[Checked]) -> list[list[_Entry]]:
    """Channels in groups of equal content; those without a twin are left out."""
    by_shape: dict[tuple[int, ...], list[_Entry]] = defaultdict(list)
    for checked in cases:
        for number, channel in enumerate(checked.channels):
            told = Path(channel.path).parent.name != _PRIORS
            if told and channel.intensity.minimum < channel.intensity.maximum:
                by_shape[channel.shape].append(_Entry(checked, number, channel))
    groups: list[list[_Entry]] = []
    for entries in by_shape.values():
        if len(entries) > 1:
            groups += _grouped(entries)
    return groups


def _grouped(entries: list[_Entry]) -> list[list[_Entry]]:
    """The groups among entries of one shape; every entry is read at most once for each group."""
    group_of: dict[int, list[_Entry]] = {}
    for first, second in _alike(np.stack([entry.channel.thumbnail for entry in entries])):
        known = group_of.get(first)
        if known is not None and known is group_of.get(second):
            continue
        if _same(entries[first], entries[second]):
            group = known or group_of.get(second) or []
            for i in (first, second):
                if group_of.setdefault(i, group) is group and entries[i] not in group:
                    group.append(entries[i])
    unique = {id(group): group for group in group_of.values()}
    return list(unique.values())


def _alike(thumbnails: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of rows that correlate; a thousand rows at a time, so memory stays small."""
    rows = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
    rows = rows.astype(np.float32)
    for start in range(0, len(rows), 1024):
        near = np.argwhere(rows[start : start + 1024] @ rows[start:].T > _ALIKE) + start
        yield from ((i, j) for i, j in near.tolist() if i < j)


def _same(first: _Entry, second: _Entry) -> bool:
    """Whether two images are one, up to slope, intercept and rounding to 256 levels."""
    a, b = first.channel, second.channel
    block = np.prod(a.shape) / a.thumbnail.size
    # Rounding errors average out over a block; six deviations of a uniform error.
    tolerance = _STEP * min(1.0, 6 / np.sqrt(12 * block)) + 1e-4
    if _residual(a.thumbnail, b.thumbnail, b.intensity.maximum - b.intensity.minimum) > tolerance:
        return False
    if (a.path, a.index) == (b.path, b.index):
        return True
    one, two = (
        np.nan_to_num(read_volume(c.path).array[c.index].ravel().astype(np.float64)) for c in (a, b)
    )
    return _residual(one, two, b.intensity.maximum - b.intensity.minimum) <= 1.5 * _STEP


def _residual(first: np.ndarray, second: np.ndarray, extent: float) -> float:
    """The largest difference after the best slope and intercept, as part of the second's range."""
    centred, other = first - first.mean(), second - second.mean()
    slope = centred @ other / max(centred @ centred, np.finfo(float).tiny)
    return float(np.abs(other - slope * centred).max()) / extent


def _names(cases: Sequence[str]) -> str:
    return ", ".join(cases[:5]) + (f" and {len(cases) - 5} more" if len(cases) > 5 else "")
