"""The keys of an evaluation."""

from delineate.systems.liver.settings import ModelEvaluationConfig

__all__ = ["ModelEvaluationConfig"]
