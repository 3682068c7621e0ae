"""The loss."""

from delineate.systems.liver.losses import SegmentationCrossEntropyLoss

__all__ = ["SegmentationCrossEntropyLoss"]
