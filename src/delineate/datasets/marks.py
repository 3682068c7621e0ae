"""What one label holds: the voxels of each value, where they lie, and whether they may be there."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from delineate.datasets.case import Case
from delineate.datasets.findings import Finding, finding
from delineate.io import Volume
from delineate.io.mask import TOLERANCE
from delineate.labels import Labels

__all__ = ["Marks", "check_marks", "measure_marks", "unusable_values"]

_BLUR_VALUES = 8
"""A mask of 0 and 255 with more values than this has grey borders, as lossy pictures have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The measured content of a mask."""

    voxels: dict[int, int]
    """How many voxels hold each value but 0; for overlapping masks, each channel counted from 1."""
    centres: dict[int, tuple[float, ...]]
    """Centre of each value in canonical mm from the first voxel; empty for more than 64 values."""
    shape: tuple[int, ...]
    channels: int
    digest: bytes
    """Equal for masks that mark the same voxels, whatever type and values they are stored as."""

    @property
    def foreground(self) -> int:
        """Voxels that are not 0, each channel counted."""
        return sum(self.voxels.values())


def measure_marks(label: Volume) -> Marks:
    """Count and locate every value of an integer mask (c, *s), in one pass over its foreground."""
    channels = len(label.array)
    voxels: dict[int, int] = {}
    centres: dict[int, tuple[float, ...]] = {}
    digest = blake2b(repr(label.array.shape).encode(), digest_size=16)
    for index, mask in enumerate(label.array, 1):
        places = np.flatnonzero(mask)
        values, ranks = _ranks(mask.ravel()[places])
        if channels > 1:
            values, ranks = [index] * bool(places.size), np.zeros_like(ranks)
        counts = np.bincount(ranks, minlength=len(values))
        voxels |= dict(zip(values, counts.tolist(), strict=True))
        if 0 < len(values) <= 64:
            found = _centres(places, ranks, counts, label)
            centres |= dict(zip(values, found, strict=True))
        digest.update(places.tobytes())
        digest.update(ranks.tobytes())
    return Marks(
        voxels=voxels,
        centres=centres,
        shape=label.shape,
        channels=channels,
        digest=digest.digest(),
    )


def _ranks(values: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The distinct values in order, and for each entry which of them it is."""
    if values.size and int(values.min()) >= 0 and int(values.max()) < 65536:
        present = np.flatnonzero(np.bincount(values.astype(np.intp)))
        table = np.zeros(int(values.max()) + 1, np.int32)
        table[present] = np.arange(present.size)
        return present.tolist(), table[values]
    distinct, ranks = np.unique(values, return_inverse=True)
    return [int(v) for v in distinct], ranks.astype(np.int32)


def _centres(
    places: np.ndarray, ranks: np.ndarray, counts: np.ndarray, label: Volume
) -> Iterable[tuple[float, ...]]:
    indices = np.unravel_index(places, label.shape)
    sums = [np.bincount(ranks, weights=along, minlength=counts.size) for along in indices]
    mm = np.stack(sums, axis=1) / counts[:, None] * label.spacing
    return [tuple(centre) for centre in mm.tolist()]


def unusable_values(case: Case, array: np.ndarray) -> list[Finding]:
    """Why these values are no labels: NaN, infinite, between integers, or blurred on saving."""
    found = []
    finite = np.isfinite(array)
    bad = int(array.size - finite.sum())
    if bad:
        text = f"the label has {bad} NaN or infinite voxel{'s' * (bad > 1)} of {array.size}."
        found.append(finding("not-finite", case.id, text))
    values = array[finite]
    apart = np.abs(values - np.rint(values))
    off = int((apart > TOLERANCE).sum())
    if off:
        examples = ", ".join(f"{v:.4g}" for v in np.unique(values[apart > TOLERANCE])[:4])
        text = (
            f"the label has {off} voxel{'s' * (off > 1)} between integers (such as {examples}), "
            f"up to {apart.max():.3g} from one."
        )
        found.append(finding("float-label", case.id, text))
    if not found:
        found += _blurred(case, *np.unique(values, return_counts=True))
    return found


def check_marks(case: Case, marks: Marks, labels: Labels | None) -> list[Finding]:
    """What one mask alone shows: values that are not declared, nothing marked, or everything."""
    found = _wrong_channels(case, marks, labels) or _undeclared(case, marks, labels)
    ignore = None if labels is None else labels.ignore
    marked = marks.foreground - marks.voxels.get(ignore or 0, 0)
    if case.presence is not None:
        found += _contradictions(case, marks, labels)
    elif marked == 0:
        found.append(finding("empty-label", case.id, "the label has no foreground."))
    if marks.channels == 1 and len(marks.voxels) == 1 and marked == np.prod(marks.shape):
        (value,) = marks.voxels
        found.append(finding("full-label", case.id, f"the label is {value} in every voxel."))
    return found


def _wrong_channels(case: Case, marks: Marks, labels: Labels | None) -> list[Finding]:
    if labels is None:
        return []
    expected = len(labels.leaves) if labels.overlapping else 1
    if marks.channels == expected:
        return []
    what = "overlapping classes" if labels.overlapping else "mask of exclusive classes"
    text = f"the label has {marks.channels} channels; declared: {expected} {what}."
    return [finding("label-channels", case.id, text)]


def _undeclared(case: Case, marks: Marks, labels: Labels | None) -> list[Finding]:
    if labels is None:
        return _odd_values(case, marks)
    if labels.overlapping:
        return []
    declared = {leaf.id for leaf in labels.leaves} | {labels.ignore}
    odd = {value: n for value, n in marks.voxels.items() if value not in declared}
    if not odd:
        return []
    known = ", ".join(str(value) for value in sorted({0, *declared} - {None}, key=lambda v: v or 0))
    text = f"the label holds {_listed(odd)}; declared are {known}."
    return [finding("undeclared-value", case.id, text)]


def _odd_values(case: Case, marks: Marks) -> list[Finding]:
    """Where nothing is declared: values below 0, and the grey border of a lossy picture."""
    negative = {value: n for value, n in marks.voxels.items() if value < 0}
    if negative:
        text = f"the label holds {_listed(negative)}; no label is below 0 unless it is declared."
        return [finding("undeclared-value", case.id, text)]
    return _blurred(case, np.array([*marks.voxels]), np.array([*marks.voxels.values()]))


def _blurred(case: Case, values: np.ndarray, counts: np.ndarray) -> list[Finding]:
    """Many grey values, most of the voxels near 0 or 255: a border that was blurred on saving."""
    if len(values) <= _BLUR_VALUES or not 200 <= int(values.max()) <= 255:
        return []
    grey = (values > 40) & (values < 215)
    if counts[grey].sum() > 0.5 * counts[values >= 215].sum():
        return []
    text = f"the label holds {len(values)} values up to {int(values.max())}, as lossy pictures do."
    return [finding("blurred-mask", case.id, text)]


def _listed(values: dict[int, int]) -> str:
    shown = [f"{value} ({n} voxel{'s' * (n > 1)})" for value, n in sorted(values.items())]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more values" if len(shown) > 5 else "")


def _contradictions(case: Case, marks: Marks, labels: Labels | None) -> list[Finding]:
    """Where the declared presence and the mask disagree, class by class."""
    assert case.presence is not None
    shown = _shown(marks, labels)
    if len(case.presence) != len(shown):
        text = f"presence has {len(case.presence)} entries for {len(shown)} classes."
        return [finding("presence-mismatch", case.id, text)]
    found = []
    for (name, voxels), presence in zip(shown.items(), case.presence, strict=True):
        if bool(presence) != bool(voxels):
            said = "present" if presence else "absent"
            text = f"{name} is declared {said} but the mask has {voxels} voxels of it."
            found.append(finding("presence-mismatch", case.id, text))
    return found


def _shown(marks: Marks, labels: Labels | None) -> dict[str, int]:
    """Voxels of each declared class, unions included."""
    if labels is None:
        return {"the foreground": marks.foreground}
    start = 0 if labels.overlapping else 1
    keys = [i if labels.overlapping else leaf.id for i, leaf in enumerate(labels.leaves, 1)]
    voxels = [marks.voxels.get(key or 0, 0) for key in keys]
    return {
        name: sum(voxels[channel - start] for channel in labels.members(name))
        for name in labels.names
    }
