"""Training: from brain.modules.brainstem_seg import BrainstemTrainer, TrainingConfig"""

from delineate.systems.brainstem import (
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
