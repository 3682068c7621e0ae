"""What a data set looks like, from one reading of every case."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from delineate.cores import usable_cores
from delineate.datasets.case import Case, Dataset
from delineate.errors import DataError, PlanError
from delineate.labels import Class, Labels
from delineate.plan.case_facts import CaseFacts, Reading, read_case

__all__ = ["Fingerprint", "Intensity", "Progress", "take_fingerprint"]

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""(iterable, total, description) -> the same items, shown to a person as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """One channel inside the labelled structures, over all cases."""

    mean: float
    deviation: float
    median: float
    low: float
    """The 0.5th percentile."""
    high: float
    """The 99.5th percentile."""
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """All that planning needs to know of a data set; at least one case, at least one class."""

    dims: int
    """2 for pictures, 3 for volumes."""
    channels: tuple[str, ...]
    labels: Labels
    """The declared ones, or one class for each value found."""
    cases: tuple[CaseFacts, ...]
    intensities: tuple[Intensity, ...]
    """One per channel."""

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        cases = [
            {**asdict(c), "voxels": {str(v): n for v, n in c.voxels.items()}} for c in self.cases
        ]
        return {
            "dims": self.dims,
            "channels": list(self.channels),
            "labels": self.labels.to_json(),
            "cases": cases,
            "intensities": [asdict(i) for i in self.intensities],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Fingerprint":
        """The fingerprint that `to_json` wrote."""
        cases = [
            CaseFacts(
                id=c["id"],
                shape=tuple(c["shape"]),
                spacing=tuple(c["spacing"]),
                box=tuple(c["box"]),
                voxels={int(v): n for v, n in c["voxels"].items()},
            )
            for c in data["cases"]
        ]
        return cls(
            dims=data["dims"],
            channels=tuple(data["channels"]),
            labels=Labels.from_json(data["labels"]),
            cases=tuple(cases),
            intensities=tuple(Intensity(**i) for i in data["intensities"]),
        )


def take_fingerprint(
    dataset: Dataset, *, workers: int | None = None, progress: Progress | None = None
) -> Fingerprint:
    """Read every labelled case that is not set aside for testing, and note what planning needs.

    A case that cannot be read is a DataError with its name; no labelled case, or none with a
    labelled voxel, is a PlanError. `workers` counts threads; None means one per usable core.
    """
    cases = [c for c in dataset.cases if c.label is not None and c.split != "test"]
    if not cases:
        raise PlanError(
            f"{dataset.root}: none of the {len(dataset.cases)} cases has a mask to learn from. "
            f"Fix: check the layout ('{dataset.layout}') and where the masks lie."
        )
    read = partial(_read_or_blame, dataset=dataset)
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        found: Iterable[Reading] = pool.map(read, cases)
        readings = list(progress(found, len(cases), "Fingerprint") if progress else found)
    _refuse_mixtures(dataset, readings)
    facts = tuple(r.facts for r in readings)
    return Fingerprint(
        dims=len(facts[0].shape),
        channels=_channel_names(dataset.channels, len(readings[0].samples), len(facts[0].shape)),
        labels=dataset.labels or _labels_found(dataset, readings),
        cases=facts,
        intensities=_intensities(dataset, readings),
    )


def _read_or_blame(case: Case, dataset: Dataset) -> Reading:
    try:
        return read_case(case, dataset.labels)
    except (DataError, OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{case.id}: {error}\n  Fix: delineate doctor {dataset.root} lists every such case."
        ) from error


def _intensities(dataset: Dataset, readings: list[Reading]) -> tuple[Intensity, ...]:
    samples = np.concatenate([r.samples.astype(np.float64, copy=False) for r in readings], axis=1)
    if samples.shape[1] == 0:
        raise PlanError(
            f"{dataset.root}: the masks of all {len(readings)} cases are empty. "
            f"Fix: delineate doctor {dataset.root} shows what they hold."
        )
    extremes = np.stack([r.extremes for r in readings])
    figures = []
    for channel, values in enumerate(samples):
        low, median, high = np.percentile(values, (0.5, 50, 99.5))
        figures.append(
            Intensity(
                mean=float(values.mean()),
                deviation=float(values.std()),
                median=float(median),
                low=float(low),
                high=float(high),
                minimum=float(extremes[:, channel, 0].min()),
                maximum=float(extremes[:, channel, 1].max()),
            )
        )
    return tuple(figures)


def _refuse_mixtures(dataset: Dataset, readings: list[Reading]) -> None:
    """All cases have as many axes, channels and mask channels as the first."""
    first = readings[0]
    kinds = (
        ("spatial axes", lambda r: len(r.facts.shape)),
        ("channels", lambda r: len(r.samples)),
        ("mask channels", lambda r: r.mask_channels),
    )
    for what, count in kinds:
        for other in readings:
            if count(other) != count(first):
                raise DataError(
                    f"{other.facts.id}: {count(other)} {what}, but {first.facts.id} has "
                    f"{count(first)}.\n"
                    f"  Fix: delineate doctor {dataset.root} lists every such case."
                )
    declared = len(dataset.channels)
    if len(first.samples) != declared and dataset.channels != ("image",):
        raise DataError(
            f"{dataset.root}: {declared} channels are declared ({', '.join(dataset.channels)}) "
            f"but the scans have {len(first.samples)}. Fix: declare one name per channel."
        )


def _channel_names(declared: tuple[str, ...], num: int, dims: int) -> tuple[str, ...]:
    if len(declared) == num:
        return declared
    if dims == 2 and num == 3:
        return ("red", "green", "blue")
    return tuple(f"image {i}" for i in range(1, num + 1))


def _labels_found(dataset: Dataset, readings: list[Reading]) -> Labels:
    """One class for each value that occurs, named by it."""
    overlapping = readings[0].mask_channels > 1
    every = {v for r in readings for v in (r.facts.voxels if overlapping else r.facts.present)}
    if not every:
        raise PlanError(
            f"{dataset.root}: the masks of all {len(readings)} cases are empty. "
            f"Fix: delineate doctor {dataset.root} shows what they hold."
        )
    classes = tuple(Class(name=f"label {v}", id=v) for v in sorted(every))
    return Labels(classes=classes, overlapping=overlapping)
