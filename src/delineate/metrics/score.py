"""All figures of one case: a row per class."""

from collections.abc import Iterator

import numpy as np

from delineate.labels import Labels
from delineate.metrics.atlas import score_atlas
from delineate.metrics.hierarchy import hierarchy_violations
from delineate.metrics.lesions import measure_lesions
from delineate.metrics.measures import Measures
from delineate.metrics.overlap import OVERLAP, Counts, count
from delineate.metrics.presence import presence_figures
from delineate.metrics.surface import SurfaceDistances, measure_surfaces
from delineate.metrics.table import Row

__all__ = ["encode", "score_masks"]

MM3_PER_ML = 1000.0

Figures = dict[str, dict[str, float]]
"""By class, then by column."""


def score_masks(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    *,
    case: str = "",
    measures: Measures | None = None,
) -> tuple[Row, ...]:
    """One row per class, unions included, of two masks as they lie in files.

    Masks are ids (*s) or (1, *s), or (k, *s) 0/1 where classes overlap; an undeclared id is a
    DataError.
    """
    measures = measures or Measures()
    prediction, truth = (encode(mask, labels, len(spacing)) for mask in (prediction, truth))
    if prediction.shape != truth.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth is {truth.shape}")
    rows: Figures = {name: {} for name in labels.names}
    for figures in _groups(prediction, truth, labels, spacing, measures):
        for name, values in figures.items():
            rows[name] |= values
    return tuple(Row(case=case, label=name, values=values) for name, values in rows.items())


def encode(mask: np.ndarray, labels: Labels, dims: int) -> np.ndarray:
    """Ids to channels, as they are where both are the same numbers; see `Labels.encode`."""
    if mask.ndim == dims + labels.overlapping + 1 and len(mask) == 1:
        mask = mask[0]
    ids = [leaf.id for leaf in labels.leaves]
    same = (
        not labels.overlapping
        and labels.ignore is None
        and ids == [*range(1, len(ids) + 1)]
        and mask.dtype.kind in "iu"
        and mask.min(initial=0) >= 0
        and mask.max(initial=0) <= len(ids)
    )
    return mask if same else labels.encode(mask)


def _groups(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    measures: Measures,
) -> Iterator[Figures]:
    """The figures of each group that is asked for, in the order of the columns."""
    masks = prediction, truth, labels
    if {"overlap", "volume", "presence"} & set(measures.groups):
        yield from _counted(count(*masks), spacing, measures.groups)
    if "surface" in measures.groups:
        distances = measure_surfaces(*masks, spacing, surface=measures.surface)
        tolerances = measures.tolerances(labels)
        yield {n: _surface_figures(d, tolerances.get(n)) for n, d in distances.items()}
    if "lesions" in measures.groups:
        lesions = measure_lesions(*masks, spacing, measures.lesions)
        yield {name: counted.figures() for name, counted in lesions.items()}
    if "hierarchy" in measures.groups:
        violations = hierarchy_violations(prediction, labels)
        yield {name: {"hierarchy_violations": share} for name, share in violations.items()}
    if measures.challenge is not None:
        yield score_atlas(*masks, spacing, published=measures.challenge == "atlas-published")


def _counted(
    counts: dict[str, Counts], spacing: tuple[float, ...], groups: tuple[str, ...]
) -> Iterator[Figures]:
    """The figures that follow from voxel counts; pictures have no volume."""
    if "overlap" in groups:
        yield {n: {k: figure(c) for k, figure in OVERLAP.items()} for n, c in counts.items()}
    if "volume" in groups and len(spacing) == 3:
        voxel_ml = float(np.prod(spacing)) / MM3_PER_ML
        yield {name: _volumes(c, voxel_ml) for name, c in counts.items()}
    if "presence" in groups:
        yield {name: presence_figures(c) for name, c in counts.items()}


def _volumes(counts: Counts, voxel_ml: float) -> dict[str, float]:
    """In ml; relative to the truth, 0 where both are empty and NaN where only the truth is."""
    wrong = abs(counts.predicted - counts.true)
    relative = wrong / counts.true if counts.true else 0.0 if not wrong else float("nan")
    return {
        "volume_ml": counts.predicted * voxel_ml,
        "true_volume_ml": counts.true * voxel_ml,
        "volume_difference_ml": wrong * voxel_ml,
        "relative_volume_difference": relative,
    }


def _surface_figures(
    distances: SurfaceDistances, tolerance: tuple[str, float] | None
) -> dict[str, float]:
    figures = {"hd_mm": distances.hd, "hd95_mm": distances.hd95, "assd_mm": distances.assd}
    if tolerance is not None:
        ending, mm = tolerance
        figures[f"surface_dice{ending}"] = distances.surface_dice(mm)
        figures[f"boundary_f1{ending}"] = distances.boundary_f1(mm)
    return figures
