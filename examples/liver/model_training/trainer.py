"""The Trainer that a configuration asks for."""

from delineate.systems.liver.trainer import SegmentationTrainer

__all__ = ["SegmentationTrainer"]
