"""Checkpoints, early stopping and the monitor of the rate."""

from delineate.systems.liver.callbacks import get_callbacks

__all__ = ["get_callbacks"]
