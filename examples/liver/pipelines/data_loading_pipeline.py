"""Batches of a preprocessed tree."""

from delineate.systems.liver.loading import get_dataloader

__all__ = ["get_dataloader"]
