"""The keys of a prediction."""

from delineate.systems.liver.settings import ModelPredictionConfig

__all__ = ["ModelPredictionConfig"]
