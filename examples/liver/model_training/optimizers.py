"""Optimiser and scheduler of a configuration."""

from delineate.systems.liver.optimizers import get_optimizer

__all__ = ["get_optimizer"]
