"""The documented trainer: devices, logs, checkpoints and early stopping as the settings say."""

import logging
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer, seed_everything

from delineate.engine.manners import plain_mistakes, quiet
from delineate.errors import ConfigError
from delineate.inference.allocator import freed_memory_kept
from delineate.systems.liver.callbacks import LAST, BestAndLast, get_callbacks
from delineate.systems.liver.checkpoint import check_checkpoint
from delineate.systems.liver.devices import choose_devices
from delineate.systems.liver.run_logs import begin_table, make_loggers
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["SegmentationTrainer"]

log = logging.getLogger("delineate")


class SegmentationTrainer:
    """Trains a module and tests its best weights.

    Args:
        config: the settings.
        model: a SegmentationLightningModule, or any other.
        train_loader: batches to train on; None where nothing is trained.
        val_loader: batches that the best weights are chosen on.
        test_loader: batches that `test` looks at.

    `trainer` is Lightning's own.
    """

    def __init__(
        self,
        config: ModelTrainingConfig,
        model: LightningModule,
        train_loader: Iterable[Any] | None,
        val_loader: Iterable[Any] | None,
        test_loader: Iterable[Any] | None = None,
    ) -> None:
        config.check()
        self.config = config
        self.model = model
        self.loaders = {"train": train_loader, "val": val_loader, "test": test_loader}
        with quiet():
            self.trainer = Trainer(
                **choose_devices(config),
                max_epochs=config.max_epochs,
                callbacks=get_callbacks(config),
                logger=make_loggers(config),
                log_every_n_steps=_often(config, train_loader),
            )

    @property
    def best_checkpoint(self) -> Path | None:
        """The checkpoint with the best figure so far."""
        found = self._checkpoints.best_model_path
        return Path(found) if found else None

    @property
    def last_checkpoint(self) -> Path:
        """What a training can be resumed from."""
        return Path(self.config.checkpoint_dir) / LAST

    def fit(self) -> None:
        """Train, from resume_from_checkpoint on if the settings name one."""
        train, val = self._loader("train"), self.loaders["val"]
        if val is None and self.config.monitor_metric.startswith("val_"):
            raise ConfigError(
                f"monitor_metric is {self.config.monitor_metric}, but there is no val_loader. "
                "Fix: give one, or monitor train_loss."
            )
        resume = self._resume()
        self._say_what_is_replaced(resume)
        seed_everything(self.config.seed, workers=True, verbose=False)
        begin_table(self.trainer.loggers)
        with quiet(), plain_mistakes(), freed_memory_kept():
            try:
                self.trainer.fit(self.model, train, val, ckpt_path=resume, weights_only=True)
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None

    def test(self) -> Mapping[str, float]:
        """The figures of the test set, by the best weights of `fit`; without one, as they are."""
        loader, best = self._loader("test"), self.best_checkpoint
        if best is None:
            log.warning("test: no best checkpoint of this training, the weights are as they are.")
        else:
            log.info("test: %s", best)
        with quiet(), plain_mistakes():
            found = self.trainer.test(
                self.model,
                dataloaders=loader,
                ckpt_path=None if best is None else str(best),
                weights_only=True,
            )
        return found[0]

    @property
    def _checkpoints(self) -> BestAndLast:
        return next(c for c in self.trainer.checkpoint_callbacks if isinstance(c, BestAndLast))

    def _loader(self, name: str) -> Iterable[Any]:
        loader = self.loaders[name]
        if loader is None:
            raise ConfigError(f"there is no {name}_loader. Fix: give one to SegmentationTrainer.")
        return loader

    def _resume(self) -> str | None:
        """The checkpoint to go on from, looked into before anything is trained."""
        path = self.config.resume_from_checkpoint
        if path is not None:
            check_checkpoint(Path(path), self.model)
        return path

    def _say_what_is_replaced(self, resume: str | None) -> None:
        last = self.last_checkpoint
        if last.is_file() and (resume is None or Path(resume).resolve() != last.resolve()):
            log.warning("%s is of an earlier training and will be replaced.", last)


def _often(config: ModelTrainingConfig, loader: Iterable[Any] | None) -> int:
    """No epoch is without a batch whose figures are logged."""
    length = len(loader) if isinstance(loader, Sized) else config.log_every_n_steps
    return max(1, min(config.log_every_n_steps, length))
