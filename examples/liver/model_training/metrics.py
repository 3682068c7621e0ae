"""Figures of logits against a truth."""

from delineate.systems.liver.metrics import (
    accuracy,
    boundary_f1_score,
    dice_coefficient,
    jaccard_index,
)

__all__ = ["accuracy", "boundary_f1_score", "dice_coefficient", "jaccard_index"]
