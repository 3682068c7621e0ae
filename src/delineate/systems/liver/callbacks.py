"""Checkpoints, early stopping and the rate in the log, as the settings ask."""

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["BestAndLast", "get_callbacks"]

log = logging.getLogger("delineate")

LAST = "last.ckpt"


class BestAndLast(ModelCheckpoint):
    """The checkpoint with the best monitored figure, and last.ckpt after every epoch.

    Lightning's own `save_last` writes only when there is a new best. A figure that nobody logs is a
    ConfigError before the training begins.
    """

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for the figure among those of the trial validation."""
        wanted, known = str(self.monitor), [str(name) for name in trainer.callback_metrics]
        if wanted.startswith("val_") and known and wanted not in known:
            raise ConfigError(
                f"monitor_metric '{wanted}' is not logged.{did_you_mean(wanted, known)} "
                f"There are: {', '.join(sorted(known))}."
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last one, too."""
        super().on_train_epoch_end(trainer, pl_module)
        if not getattr(trainer, "fast_dev_run", False) and self.dirpath is not None:
            self.last_model_path = str(Path(self.dirpath) / LAST)
            trainer.save_checkpoint(self.last_model_path)


def get_callbacks(config: ModelTrainingConfig) -> list[Callback]:
    """The checkpoints, early stopping, and the monitor of the learning rate."""
    monitor, mode = config.monitor_metric, config.monitor_mode
    label = monitor.replace("/", "_")
    watched: dict[str, Any] = {"monitor": monitor, "mode": mode}
    return [
        BestAndLast(
            dirpath=config.checkpoint_dir,
            filename=f"epoch={{epoch}}-{label}={{{monitor}:.4f}}",
            auto_insert_metric_name=False,
            save_top_k=1,
            **watched,
        ),
        # A Dice is no number where no case has the structure; a loss that is none has diverged.
        EarlyStopping(
            patience=config.early_stopping_patience, check_finite="loss" in monitor, **watched
        ),
        LearningRateMonitor(logging_interval="epoch"),
    ]
