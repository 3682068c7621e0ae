"""What one labelled case looks like: its shape, its label volumes, a sample of its intensities."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from delineate.datasets.case import Case
from delineate.errors import DataError
from delineate.io import read_mask, read_volume
from delineate.labels import Labels

__all__ = ["CaseFacts", "Reading", "read_case"]

SAMPLES_PER_CASE = 10_000
"""A large case weighs no more than this many foreground voxels in the intensity figures."""
MOST_VALUES = 1000
"""More different values than this are an image, not a mask."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """One labelled case, in canonical axes."""

    id: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    box: tuple[int, ...]
    """Shape of the smallest box around all voxels that are not zero in every channel."""
    voxels: Mapping[int, int]
    """Voxels of each value of the mask; by class id (or channel, from 1) where masks overlap."""

    @property
    def share(self) -> float:
        """The part of all voxels that lies in the nonzero box."""
        return float(np.prod(self.box) / np.prod(self.shape))

    @property
    def label_volume(self) -> float:
        """All labelled structures together, in mm3 (mm2 for pictures)."""
        labelled = sum(count for value, count in self.voxels.items() if value != 0)
        return labelled * float(np.prod(self.spacing))

    @property
    def present(self) -> tuple[int, ...]:
        """The label values, without background, that this mask holds."""
        return tuple(value for value, count in self.voxels.items() if value != 0 and count > 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A case and what its intensities add to the data set's."""

    facts: CaseFacts
    mask_channels: int
    samples: np.ndarray
    """(c, n) intensities of foreground voxels."""
    extremes: np.ndarray
    """(c, 2) least and greatest intensity of the foreground."""


def read_case(case: Case, labels: Labels | None) -> Reading:
    """Read image and mask of a case that has a mask; what does not fit together is a DataError."""
    assert case.label is not None
    volumes = [read_volume(path) for path in case.images]
    mask = read_mask(case.label)
    for path, volume in zip((*case.images[1:], case.label), (*volumes[1:], mask), strict=True):
        if volume.shape != volumes[0].shape:
            raise DataError(
                f"{path} is {_by(volume.shape)} but {case.images[0]} is {_by(volumes[0].shape)}."
            )
    image = np.concatenate([v.array for v in volumes]) if len(volumes) > 1 else volumes[0].array
    if image.size == 0:
        raise DataError(f"{case.images[0]} holds no voxels.")
    facts = CaseFacts(
        id=case.id,
        shape=volumes[0].shape,
        spacing=volumes[0].spacing,
        box=_nonzero_box(image),
        voxels=_count_values(mask.array, labels),
    )
    values = _foreground(image, mask.array, None if labels is None else labels.ignore)
    infinite = np.full((len(image), 1), np.inf)
    low = values.min(axis=1, keepdims=True) if values.size else infinite
    high = values.max(axis=1, keepdims=True) if values.size else -infinite
    samples = _sample(values, seed=zlib.crc32(case.id.encode()))
    extremes = np.concatenate([low, high], axis=1).astype(np.float64)
    return Reading(facts, len(mask.array), samples, extremes)


def _nonzero_box(image: np.ndarray) -> tuple[int, ...]:
    """Shape of the box that holds all nonzero voxels; the whole image where there is none."""
    nonzero = image[0] != 0
    for channel in image[1:]:
        nonzero |= channel != 0
    box = []
    for axis in range(nonzero.ndim):
        others = tuple(a for a in range(nonzero.ndim) if a != axis)
        (hits,) = np.nonzero(nonzero.any(axis=others))
        if len(hits) == 0:
            return tuple(nonzero.shape)
        box.append(int(hits[-1] - hits[0] + 1))
    return tuple(box)


def _count_values(mask: np.ndarray, labels: Labels | None) -> dict[int, int]:
    """Voxels of each value; an undeclared one, or more than any mask has, is a DataError."""
    if len(mask) > 1 or (labels is not None and labels.overlapping):
        ids = [c.id for c in labels.leaves] if labels else range(1, len(mask) + 1)
        if len(ids) != len(mask):
            raise DataError(
                f"the mask has {len(mask)} channels but {len(ids)} labels are declared."
            )
        return {int(i or 0): int(np.count_nonzero(m)) for i, m in zip(ids, mask, strict=True)}
    counts = _bincount(mask)
    if labels is None:
        if len(counts) > MOST_VALUES:
            raise DataError(f"the mask holds {len(counts)} different values; is it an image?")
        return counts
    declared = {0, labels.ignore, *(c.id for c in labels.leaves)}
    if unknown := sorted(set(counts) - declared):
        known = sorted(i for i in declared if i is not None)
        raise DataError(f"the mask holds undeclared values {unknown[:8]}; declared are {known}.")
    return counts


def _bincount(mask: np.ndarray) -> dict[int, int]:
    low, high = int(mask.min()), int(mask.max())
    if high - low > 1 << 16:
        values, found = np.unique(mask, return_counts=True)
        return dict(zip(values.tolist(), found.tolist(), strict=True))
    flat = mask.reshape(-1)
    counts = np.zeros(high - low + 1, np.int64)
    # bincount works on 8-byte copies: in chunks they stay in the cache.
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK].astype(np.int64) - low
        counts += np.bincount(part, minlength=len(counts))
    return {low + int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def _foreground(image: np.ndarray, mask: np.ndarray, ignore: int | None) -> np.ndarray:
    """(c, n) finite intensities of all labelled voxels."""
    inside = mask != 0
    if ignore is not None:
        inside &= mask != ignore
    index = np.flatnonzero(inside.any(axis=0) if len(mask) > 1 else inside[0])
    values = image.reshape(len(image), -1)[:, index]
    finite = np.isfinite(values).all(axis=0)
    return values if finite.all() else values[:, finite]


def _sample(values: np.ndarray, *, seed: int) -> np.ndarray:
    if values.shape[1] <= SAMPLES_PER_CASE:
        return values
    rng = np.random.default_rng(seed)
    return values[:, rng.choice(values.shape[1], SAMPLES_PER_CASE, replace=False, shuffle=False)]


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
