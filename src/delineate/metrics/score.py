"""All figures of one case: a row per class."""

import numpy as np

from delineate.labels import Labels
from delineate.metrics.overlap import OVERLAP, Counts, count
from delineate.metrics.surface import SurfaceDistances, measure_surfaces
from delineate.metrics.table import Row

__all__ = ["score_masks"]

MM3_PER_ML = 1000.0


def score_masks(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    *,
    case: str = "",
    tolerance_mm: float | None = None,
) -> tuple[Row, ...]:
    """One row per class, unions included, of two masks as they lie in files.

    Masks are ids (*s) or (1, *s), or (k, *s) 0/1 where classes overlap; an undeclared id is a
    DataError. Surface figures are measured where a tolerance for surface Dice is given.
    """
    dims = len(spacing) + labels.overlapping
    prediction, truth = (labels.encode(_squeeze(m, dims)) for m in (prediction, truth))
    if prediction.shape != truth.shape:
        raise ValueError(f"the prediction is {prediction.shape}, the truth is {truth.shape}")
    counts = count(prediction, truth, labels)
    rows = {name: _overlap_figures(c, spacing) for name, c in counts.items()}
    if tolerance_mm is not None:
        for name, distances in measure_surfaces(prediction, truth, labels, spacing).items():
            rows[name] |= _surface_figures(distances, tolerance_mm)
    return tuple(Row(case=case, label=name, values=values) for name, values in rows.items())


def _overlap_figures(counts: Counts, spacing: tuple[float, ...]) -> dict[str, float]:
    """Ratios of voxels, and volumes in ml; pictures have no volume."""
    figures = {name: figure(counts) for name, figure in OVERLAP.items()}
    if len(spacing) == 3:
        voxel = float(np.prod(spacing)) / MM3_PER_ML
        figures["volume_ml"] = counts.predicted * voxel
        figures["true_volume_ml"] = counts.true * voxel
    return figures


def _surface_figures(distances: SurfaceDistances, tolerance_mm: float) -> dict[str, float]:
    return {
        "hd95_mm": distances.hd95,
        "assd_mm": distances.assd,
        f"surface_dice_{tolerance_mm:g}mm": distances.surface_dice(tolerance_mm),
    }


def _squeeze(mask: np.ndarray, dims: int) -> np.ndarray:
    return mask[0] if mask.ndim == dims + 1 and len(mask) == 1 else mask
