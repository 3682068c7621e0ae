"""Losses: terms (Output, Target) -> scalar, and their named weighted sum."""

from delineate.losses.compose import Term, WeightedSum, as_term
from delineate.losses.region import Dice
from delineate.losses.voxel import CrossEntropy

__all__ = ["CrossEntropy", "Dice", "Term", "WeightedSum", "as_term"]
