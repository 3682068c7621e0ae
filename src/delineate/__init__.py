"""Trains, checks and runs medical image segmentation models."""

__version__ = "0.1.0"
__all__ = ["__version__"]
