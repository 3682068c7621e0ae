"""ModelCheckpoint of an experiment: the best by a figure that is logged, and the last."""

import logging
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from delineate.config.words import did_you_mean
from delineate.errors import ConfigError

__all__ = ["KeptCheckpoints", "best_of", "check_monitor"]

log = logging.getLogger("delineate")

LAST = "last.ckpt"


class KeptCheckpoints(ModelCheckpoint):
    """Lightning's, which writes last.ckpt after every epoch as well unless `save_last: false`.

    A figure that nobody logs is a ConfigError before the training begins.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.keep_last = kwargs.pop("save_last", None) is not False
        super().__init__(*args, **kwargs)
        if self.monitor is not None and self.monitor.startswith("train_"):
            log.warning(
                "ModelCheckpoint: %s is of the slices that are trained on: the weights that know "
                "them by heart win. Fix: monitor: val_loss.",
                self.monitor,
            )

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for the figure among those of the trial validation."""
        check_monitor(str(self.monitor), trainer, "ModelCheckpoint")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last one, too."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.keep_last and self.dirpath is not None:
            self.last_model_path = str(Path(self.dirpath) / LAST)
            trainer.save_checkpoint(self.last_model_path, weights_only=False)


def check_monitor(wanted: str, trainer: Trainer, who: str) -> None:
    """A figure of the validation that is not among those that were logged is a ConfigError."""
    known = [str(name) for name in trainer.callback_metrics if str(name).startswith("val_")]
    if wanted.startswith("val_") and known and wanted not in known:
        raise ConfigError(
            f"{who}: monitor '{wanted}' is not logged.{did_you_mean(wanted, known)} "
            f"There are: {', '.join(sorted(known))}."
        )


def best_of(trainer: Trainer) -> Path | None:
    """The best checkpoint by the first ModelCheckpoint that looks at a figure; else the last."""
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    for callback in sorted(kept, key=lambda c: c.monitor is None):
        for path in (callback.best_model_path, callback.last_model_path):
            if path and Path(path).is_file():
                return Path(path)
    return None
