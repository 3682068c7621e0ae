"""The keys of the preprocessing."""

from delineate.systems.liver.settings import PreprocessingConfig

__all__ = ["PreprocessingConfig"]
