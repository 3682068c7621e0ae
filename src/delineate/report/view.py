"""A scan with its masks on one grid, and how a slice of it is laid before the eye.

Volumes are shown as radiologists look at them: the patient's right is on the left.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from delineate.errors import DataError
from delineate.io import read_mask, read_volume
from delineate.labels import Labels
from delineate.report.record import Scan

__all__ = [
    "PICTURE",
    "PLANES",
    "Errors",
    "Plane",
    "View",
    "code_type",
    "cut",
    "errors",
    "layers",
    "planes_of",
    "read_view",
]

DARKEST, BRIGHTEST = 0.5, 99.7
"""Percentiles of what is not background that become black and white."""
SAMPLE = 1 << 22
"""Voxels that the percentiles are taken of."""
AIR, SOFT_TISSUE = -900, (-200.0, 300.0)
"""In Hounsfield units: what only a CT scan has, and the window in which organs differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One way to cut."""

    name: str
    """Empty for the one plane of a picture."""
    axis: int | None
    """The axis that is cut; None for a picture."""
    across: int
    """The axis that runs to the left, of a picture to the right."""
    up: int
    """The axis that runs up, of a picture down."""
    letters: str
    """At the left, right, top and bottom edge."""


PLANES = (
    Plane(name="axial", axis=2, across=0, up=1, letters="RLAP"),
    Plane(name="coronal", axis=1, across=0, up=2, letters="RLSI"),
    Plane(name="sagittal", axis=0, across=1, up=2, letters="APSI"),
)
PICTURE = Plane(name="", axis=None, across=1, up=0, letters="")


@dataclass(frozen=True, kw_only=True)
class View:
    """A case as it is shown."""

    id: str
    image: np.ndarray
    """(c, *s) as measured."""
    truth: np.ndarray | None
    """(1, *s) channel indices, `ignored` where there is no verdict; overlapping (k, *s) 0/1."""
    predictions: Mapping[str, np.ndarray]
    spacing: tuple[float, ...]
    window: tuple[float, float]
    """What is shown black, and what white."""
    labels: Labels

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each spatial axis."""
        return self.image.shape[1:]

    @property
    def is_colour(self) -> bool:
        """Whether it is a picture with red, green and blue."""
        return self.image.dtype == np.uint8 and len(self.image) == 3 and self.image.ndim == 3

    @property
    def ignored(self) -> int:
        """The channel index of voxels without a verdict."""
        return int(np.iinfo(code_type(self.labels)).max)

    def grey(self, values: np.ndarray) -> np.ndarray:
        """Measured values as 0..255."""
        low, high = self.window
        scaled = (values.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
        return np.nan_to_num(np.clip(scaled, 0, 255)).astype(np.uint8)

    def fullest(self, plane: Plane) -> int:
        """The slice with the largest foreground; the middle one where there is none."""
        if plane.axis is None:
            return 0
        areas = self._areas[plane.axis] if self._areas else None
        return self.shape[plane.axis] // 2 if areas is None else int(areas.argmax())

    def foreground(self, mask: np.ndarray) -> np.ndarray:
        """(*s) where any class is."""
        if self.labels.overlapping:
            return (mask != 0).any(axis=0)
        return (mask[0] != 0) & (mask[0] != self.ignored)

    @cached_property
    def _areas(self) -> tuple[np.ndarray, ...]:
        """How much foreground each slice across each axis has, in the first mask that has any."""
        axes = range(len(self.shape))
        for mask in self.masks():
            found = self.foreground(mask)
            if found.any():
                return tuple(found.sum(axis=tuple({*axes} - {axis})) for axis in axes)
        return ()

    def masks(self) -> Iterator[np.ndarray]:
        """All that there are, the truth first."""
        if self.truth is not None:
            yield self.truth
        yield from self.predictions.values()


class Errors(NamedTuple):
    """Where a prediction is wrong, (rows, columns) each."""

    missed: np.ndarray
    """True, but predicted as background."""
    extra: np.ndarray
    """Predicted, but background."""
    wrong: np.ndarray
    """One class in place of another."""


def read_view(scan: Scan, labels: Labels, *, window: tuple[float, float] | None = None) -> View:
    """Read a case; masks on another grid than the scan are a DataError.

    Args:
        window: What is black and white; None goes by the scan, and of CT shows soft tissue.
    """
    image = read_volume(scan.image)
    paths: dict[str, str | Path] = {"truth": scan.truth} if scan.truth else {}
    # Names of runs come from outside: none of them may stand for the truth.
    paths |= {f"prediction {name}": path for name, path in scan.predictions.items()}
    codes = {}
    for kind, path in paths.items():
        mask = read_mask(path).array
        if mask.shape[1:] != image.shape:
            raise DataError(
                f"{scan.id}: the {kind.split()[0]} is {_times(mask.shape[1:])} but the scan is "
                f"{_times(image.shape)} (canonical axes). Fix: give masks on the scan's own grid."
            )
        codes[kind] = _codes(mask, labels, scan.id)
    return View(
        id=scan.id,
        image=image.array,
        truth=codes.get("truth"),
        predictions={name: codes[f"prediction {name}"] for name in scan.predictions},
        spacing=image.spacing,
        window=window or _window(image.array),
        labels=labels,
    )


def planes_of(view: View) -> tuple[Plane, ...]:
    """The three of a volume, or the one of a picture."""
    return PLANES if len(view.shape) == 3 else (PICTURE,)


def cut(array: np.ndarray, plane: Plane, place: int) -> np.ndarray:
    """(k, rows, columns) of one slice of (k, *s): up is up."""
    if plane.axis is None:
        return array
    return np.take(array, place, axis=1 + plane.axis).swapaxes(1, 2)[:, ::-1, ::-1]


def layers(mask: np.ndarray, labels: Labels) -> dict[str, np.ndarray]:
    """(rows, columns) bool by name of each leaf that is in a slice (k, rows, columns)."""
    if labels.overlapping:
        found = zip(labels.leaves, mask, strict=True)
        return {leaf.name: layer != 0 for leaf, layer in found if layer.any()}
    there = set(np.unique(mask).tolist())
    return {leaf.name: mask[0] == i for i, leaf in enumerate(labels.leaves, 1) if i in there}


def errors(truth: np.ndarray, prediction: np.ndarray, view: View) -> Errors:
    """Compare two slices (k, rows, columns); voxels without a verdict are never wrong."""
    if view.labels.overlapping:
        missed = ((truth != 0) & (prediction == 0)).any(0)
        extra = ((truth == 0) & (prediction != 0)).any(0)
        return Errors(missed & ~extra, extra & ~missed, missed & extra)
    truth, prediction = truth[0], prediction[0]
    differ = (truth != prediction) & (truth != view.ignored)
    return Errors(
        differ & (prediction == 0), differ & (truth == 0), differ & (truth != 0) & (prediction != 0)
    )


def code_type(labels: Labels) -> type[np.unsignedinteger]:
    """What holds every channel index and one more, for voxels without a verdict."""
    return np.uint8 if len(labels.leaves) < 255 else np.uint16


def _codes(mask: np.ndarray, labels: Labels, case: str) -> np.ndarray:
    """Ids to channel indices; an id that is not declared is shown as background."""
    kind = code_type(labels)
    if labels.overlapping:
        if len(mask) != len(labels.leaves):
            raise DataError(f"{case}: {len(mask)} masks, but {len(labels.leaves)} classes.")
        return (mask > 0).astype(kind)
    ids = {leaf.id: i for i, leaf in enumerate(labels.leaves, 1)}
    if labels.ignore is not None:
        ids[labels.ignore] = int(np.iinfo(kind).max)
    low, high = int(mask.min()), int(mask.max())
    table = np.zeros(high - low + 1, kind)
    for value, code in ids.items():
        if value is not None and low <= value <= high:
            table[value - low] = code
    found = np.empty((1, *mask.shape[1:]), kind)
    # Slab by slab: an index of 8 bytes for each voxel of a large scan is more than memory holds.
    for slab, out in zip(mask[0], found[0], strict=True):
        out[...] = table[slab.astype(np.int64) - low]
    return found


def _window(array: np.ndarray) -> tuple[float, float]:
    first = array[0].ravel()
    if first.min() <= AIR:
        return SOFT_TISSUE
    sample = first[:: max(1, first.size // SAMPLE)].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    sample = sample[sample > sample.min()] if sample.size else sample
    if not sample.size:
        return 0.0, 1.0
    low, high = np.percentile(sample, (DARKEST, BRIGHTEST))
    return float(low), float(high)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
