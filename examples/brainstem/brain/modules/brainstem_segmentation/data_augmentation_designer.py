"""What changes samples, and the gradients that it goes by."""

from delineate.systems.brainstem import AugmentationPipeline
from delineate.systems.brainstem.morphogen import MorphogenConfig, fields

__all__ = ["AugmentationPipeline", "MorphogenConfig", "fields"]
