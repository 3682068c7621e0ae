"""Brainstem nuclei: ViT-GNN with anatomy, documented trainer, data set, loss and prediction."""

from delineate.systems.brainstem.augmentation_pipeline import AugmentationPipeline
from delineate.systems.brainstem.dataset import BrainstemDataset
from delineate.systems.brainstem.loss import HierarchicalLoss
from delineate.systems.brainstem.metrics_tracker import MetricsTracker
from delineate.systems.brainstem.prediction import InferenceConfig, auto_segment_brainstem
from delineate.systems.brainstem.schema_file import read_schema, write_schema
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.training import BrainstemTrainer, Outcome

__all__ = [
    "AugmentationPipeline",
    "BrainstemDataset",
    "BrainstemTrainer",
    "HierarchicalLoss",
    "InferenceConfig",
    "MetricsTracker",
    "Outcome",
    "TrainingConfig",
    "auto_segment_brainstem",
    "read_schema",
    "write_schema",
]
