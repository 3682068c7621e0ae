"""The scores of the ATLAS 2.0 challenge (stroke lesions), as published and corrected.

The published scorer, for one case: Dice, 1 where both masks are empty; lesions are pieces of voxels
that share faces; a true lesion is found when one voxel of it is predicted, a predicted one is false
when none of it is true, and the lesion-wise F1 is found / (found + (missed + false) / 2), 1 where
there is no lesion at all; the simple lesion count is the difference of the numbers of lesions; the
volume difference is that of the numbers of voxels.

Its volume difference of one case subtracts the prediction's volume from itself and is always 0;
only when it is handed a batch of cases does it use the truth. `published` keeps that 0. The
corrected score takes the truth, and counts mm3, which on the challenge's grid of 1 mm are voxels.
"""

from typing import Literal

import numpy as np

from delineate.labels import Labels
from delineate.metrics.lesions import LesionRule, measure_lesions
from delineate.metrics.overlap import count

__all__ = ["Challenge", "score_atlas"]

Challenge = Literal["atlas", "atlas-published"]

RULE = LesionRule(connectivity=6)


def score_atlas(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    *,
    published: bool,
) -> dict[str, dict[str, float]]:
    """The four scores of each class by name, from encoded masks."""
    counts = count(prediction, truth, labels)
    lesions = measure_lesions(prediction, truth, labels, spacing, RULE)
    # The published scorer takes the prediction's volume for both.
    voxel_mm3 = 0.0 if published else float(np.prod(spacing))
    return {
        name: {
            "atlas_dice": counts[name].dice,
            "atlas_lesion_f1": lesions[name].f1,
            "atlas_lesion_count_difference": abs(lesions[name].predicted - lesions[name].true),
            "atlas_volume_difference": abs(counts[name].predicted - counts[name].true) * voxel_mm3,
        }
        for name in labels.names
    }
