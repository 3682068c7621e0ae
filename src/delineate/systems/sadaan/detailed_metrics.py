"""What one evaluation finds, and the figures of detailed_metrics.json that follow from it.

Every structure of every sample counts. A structure that is absent, and of which no voxel is
predicted, has Dice and IoU 1; a false alarm or a miss has 0. A figure without a value (precision
where nothing is predicted, an area under a curve where all samples are alike) is null.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np

from delineate.metrics import area_under_curve
from delineate.metrics.average_precision import average_precision

__all__ = ["Findings", "detail", "judge", "segment"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """Arrays of (samples, structures), and what the samples are called."""

    structures: tuple[str, ...]
    scenarios: tuple[str, ...]
    """One per sample; empty where the file does not say."""
    present: np.ndarray
    """bool: what is declared."""
    probability: np.ndarray
    """That the structure is present, as the network says."""
    threshold: float
    """A structure is called present from this probability on."""
    dice: np.ndarray
    """Of masks, those of structures that are called absent being empty."""
    iou: np.ndarray
    true_voxels: np.ndarray
    predicted_voxels: np.ndarray

    @property
    def called(self) -> np.ndarray:
        """(samples, structures) bool: which are called present."""
        return self.probability >= self.threshold

    @property
    def right(self) -> np.ndarray:
        """(samples, structures) bool: where that agrees with what is declared."""
        return self.called == self.present

    @property
    def false_alarms(self) -> np.ndarray:
        """(samples, structures) bool: voxels of a structure that has none."""
        return (self.true_voxels == 0) & (self.predicted_voxels > 0)


def detail(found: Findings) -> dict[str, Any]:
    """The content of detailed_metrics.json."""
    names = found.structures
    presence = [judge(found, i) for i in range(len(names))]
    segmentation = [segment(found.dice[:, i], found.iou[:, i]) for i in range(len(names))]
    return {
        "presence_overall_accuracy": float(found.right.mean()),
        "presence_per_structure": dict(zip(names, presence, strict=True)),
        "segmentation_per_structure": dict(zip(names, segmentation, strict=True)),
        "segmentation_overall": {
            "mean_dice": float(found.dice.mean()),
            "mean_iou": float(found.iou.mean()),
        },
        "scenario_based": {
            name: _scenario(found, np.array([s == name for s in found.scenarios]))
            for name in dict.fromkeys(found.scenarios)
        },
    }


def judge(found: Findings, structure: int) -> dict[str, float | int | None]:
    """Presence of one structure over all samples."""
    present, called = found.present[:, structure], found.called[:, structure]
    true_positives, true_negatives = int((present & called).sum()), int((~present & ~called).sum())
    false_positives, false_negatives = (
        int((~present & called).sum()),
        int((present & ~called).sum()),
    )
    precision = _ratio(true_positives, true_positives + false_positives)
    recall = _ratio(true_positives, true_positives + false_negatives)
    scores = found.probability[:, structure]
    return {
        "accuracy": float((present == called).mean()),
        "precision": _plain(precision),
        "recall": _plain(recall),
        "f1_score": _plain(
            _ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives)
        ),
        "true_positives": true_positives,
        "true_negatives": true_negatives,
        "false_positives": false_positives,
        "false_negatives": false_negatives,
        "support_positive": int(present.sum()),
        "support_negative": int((~present).sum()),
        "auc_roc": _plain(area_under_curve(scores, present)),
        "auc_pr": _plain(average_precision(scores, present)),
    }


def segment(dice: np.ndarray, iou: np.ndarray) -> dict[str, float | int]:
    """Overlap of one structure over all samples; deviations are of the samples themselves (n)."""
    return {
        "mean_dice": float(dice.mean()),
        "std_dice": float(dice.std()),
        "mean_iou": float(iou.mean()),
        "std_iou": float(iou.std()),
        "num_samples": len(dice),
    }


def _scenario(found: Findings, chosen: Sequence[bool] | np.ndarray) -> dict[str, float | int]:
    """Of the samples of one scenario."""
    return {
        "accuracy": float(found.right[chosen].mean()),
        "num_samples": int(np.sum(chosen)),
        "avg_structures_present": float(found.present[chosen].sum(1).mean()),
        "avg_structures_predicted": float(found.called[chosen].sum(1).mean()),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _plain(value: float) -> float | None:
    """JSON has no NaN."""
    return None if isnan(value) else value
