"""How well one mask agrees with its truth, and the mean over the cases of a data set.

Of a class that is neither in the truth nor in the prediction there is nothing to say: its figures
are NaN, and means leave it out. A mean is taken per class over the cases, then over the classes, so
it does not depend on how cases were put in batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import fsum, isnan, nan

import numpy as np

from delineate.labels import IGNORE, Class, Labels
from delineate.metrics import confusion, count, measure_surfaces
from delineate.metrics.overlap import Counts

__all__ = ["FIGURES", "Agreement", "mean", "measure", "overall", "right_share", "summarise"]

FIGURES = ("dice", "iou", "bf1")
"""Those that each class has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The figures of one case; NaN where there is nothing to measure."""

    dice: tuple[float, ...]
    """One per class."""
    iou: tuple[float, ...]
    bf1: tuple[float, ...]
    """NaN where surfaces were not measured."""
    acc: float
    """See `right_share`."""


def measure(
    prediction: np.ndarray,
    truth: np.ndarray,
    *,
    classes: int,
    background: bool = False,
    spacing: Sequence[float] | None = None,
    tolerance: float | None = None,
    smooth: float = 0.0,
) -> Agreement:
    """The figures of ids (*s) against true ids, of which those below 0 are ignored.

    Args:
        classes: background included; higher ids are of no class.
        background: whether id 0 is measured as well.
        spacing: mm along each axis; None measures in voxels.
        tolerance: how far a boundary may lie from the true one; None measures no boundary.
        smooth: added to both sides of the ratios.
    """
    labels = _labels(classes - (not background), bool((truth < 0).any()))
    ours, true = (_numbered(ids, classes, background) for ids in (prediction, truth))
    counts = count(ours, true, labels)
    there = {name: c for name, c in counts.items() if c.true or c.predicted}
    surfaces: Mapping[str, float] = {}
    if tolerance is not None:
        steps = (1.0,) * truth.ndim if spacing is None else tuple(float(mm) for mm in spacing)
        measured = measure_surfaces(ours, true, labels, steps)
        surfaces = {name: measured[name].boundary_f1(tolerance) for name in there}
    return Agreement(
        dice=tuple(_dice(there[n], smooth) if n in there else nan for n in labels.names),
        iou=tuple(_iou(there[n], smooth) if n in there else nan for n in labels.names),
        bf1=tuple(surfaces.get(n, nan) for n in labels.names),
        acc=right_share(prediction, truth, background=background),
    )


def right_share(prediction: np.ndarray, truth: np.ndarray, *, background: bool) -> float:
    """The share of the true structures' voxels that got the right id; NaN where there are none.

    Args:
        background: whether the voxels of the true background count, too.
    """
    highest = max(int(prediction.max(initial=0)), int(truth.max(initial=0)))
    matrix = confusion(prediction, truth, channels=highest + 1)
    first = 0 if background else 1
    whole = int(matrix[first:].sum())
    return int(np.trace(matrix[first:, first:])) / whole if whole else nan


def summarise(cases: Iterable[Agreement], names: Sequence[str]) -> dict[str, float]:
    """dice, iou, bf1 and acc over the cases, and dice/<name> of each class."""
    cases = list(cases)
    found: dict[str, float] = {}
    for figure in FIGURES:
        by_class = [mean(values) for values in _columns(cases, figure, len(names))]
        found[figure] = mean(by_class)
        if figure == "dice":
            found |= {f"dice/{n}": v for n, v in zip(names, by_class, strict=True)}
    return found | {"acc": mean(case.acc for case in cases)}


def overall(found: Sequence[Agreement]) -> dict[str, float]:
    """The figures over all classes; what has no value is left out."""
    figures = summarise(found, [str(i) for i in range(len(found[0].dice))])
    return {n: value for n, value in figures.items() if "/" not in n and not isnan(value)}


def mean(values: Iterable[float]) -> float:
    """The mean of what is not NaN, the same in any order; NaN where nothing is left."""
    known = [value for value in values if not isnan(value)]
    return fsum(known) / len(known) if known else nan


def _columns(cases: Sequence[Agreement], figure: str, classes: int) -> list[list[float]]:
    return [[getattr(case, figure)[k] for case in cases] for k in range(classes)]


@cache
def _labels(number: int, ignoring: bool) -> Labels:
    """Classes that are called by their number, from 1 on."""
    classes = tuple(Class(name=str(i), id=i) for i in range(1, number + 1))
    return Labels(classes=classes, ignore=IGNORE if ignoring else None)


def _numbered(ids: np.ndarray, classes: int, background: bool) -> np.ndarray:
    """Ids as the channels of `_labels`: 0 is of no class, what is to be ignored stays."""
    numbers = np.where(ids < classes, ids + background, 0).astype(np.int16)
    numbers[ids < 0] = IGNORE
    return numbers


def _dice(counts: Counts, smooth: float) -> float:
    return (2 * counts.true_positive + smooth) / (counts.true + counts.predicted + smooth)


def _iou(counts: Counts, smooth: float) -> float:
    both = counts.true_positive
    return (both + smooth) / (counts.true + counts.predicted - both + smooth)
