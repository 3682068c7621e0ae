"""Where figures and pictures of a training go: the table in its folder, and trackers by name."""

from delineate.tracking.mlflow import MLflow
from delineate.tracking.sacred import Sacred
from delineate.tracking.tensorboard import TensorBoard
from delineate.tracking.wandb import WandB

__all__ = ["MLflow", "Sacred", "TensorBoard", "WandB"]
