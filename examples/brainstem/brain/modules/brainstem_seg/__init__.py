"""Training: from brain.modules.brainstem_seg import BrainstemTrainer, TrainingConfig"""

from brain.modules.brainstem_seg.pipeline import (
    AugmentationPipeline,
    BrainstemDataset,
    BrainstemTrainer,
    HierarchicalLoss,
    MetricsTracker,
    TrainingConfig,
)

__all__ = [
    "AugmentationPipeline",
    "BrainstemDataset",
    "BrainstemTrainer",
    "HierarchicalLoss",
    "MetricsTracker",
    "TrainingConfig",
]
