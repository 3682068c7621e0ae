"""The module that a Lightning Trainer trains."""

from delineate.systems.liver.lightning_module import SegmentationLightningModule

__all__ = ["SegmentationLightningModule"]
