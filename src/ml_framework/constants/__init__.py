"""Names that an experiment may use."""

from delineate.systems.spine.schema.entries import PHASES
from delineate.systems.spine.schema.shipped import TRAINING

__all__ = ["PHASES", "TARGETS", "TRAINING"]

TARGETS = ("data", "label", "prediction")
"""What of a sample a step may work on; `TRAINING` is the folder of the shipped experiments."""
