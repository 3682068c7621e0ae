"""Train with the documented settings and folders: python -m brain.modules.brainstem_seg.pipeline"""

from delineate.plain_errors import plain_errors
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
    "main",
]


def main() -> None:
    """Train."""
    with plain_errors():
        BrainstemTrainer(
            config=TrainingConfig(),
            data_dir="data/datasets/brainstem_segmentation",
            output_dir="data/models/brainstem_segmentation",
        ).train()


if __name__ == "__main__":
    main()
