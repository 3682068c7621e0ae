"""Losses: terms (Output, Target) -> scalar, and their named weighted sum."""

from delineate.losses.boundary import Boundary, HausdorffLike
from delineate.losses.compose import Term, WeightedSum, as_term
from delineate.losses.confidence import Confidence
from delineate.losses.edges import Edges
from delineate.losses.hierarchy import Hierarchical, HierarchicalFocal
from delineate.losses.presence import AbsenceSuppression, Presence, PresentDice
from delineate.losses.present_voxels import (
    AttentionSupervision,
    PresentCrossEntropy,
    PresentFocal,
)
from delineate.losses.ramp import Ramp
from delineate.losses.region import Dice, GeneralisedDice
from delineate.losses.tversky import FocalTversky, Tversky
from delineate.losses.voxel import CrossEntropy, Focal, TopK

__all__ = [
    "AbsenceSuppression",
    "AttentionSupervision",
    "Boundary",
    "Confidence",
    "CrossEntropy",
    "Dice",
    "Edges",
    "Focal",
    "FocalTversky",
    "GeneralisedDice",
    "HausdorffLike",
    "Hierarchical",
    "HierarchicalFocal",
    "Presence",
    "PresentCrossEntropy",
    "PresentDice",
    "PresentFocal",
    "Ramp",
    "Term",
    "TopK",
    "Tversky",
    "WeightedSum",
    "as_term",
]
