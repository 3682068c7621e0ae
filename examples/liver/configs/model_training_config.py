"""The keys of a training."""

from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["ModelTrainingConfig"]
