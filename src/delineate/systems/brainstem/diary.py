"""What is noted of a training: a line for each epoch and each validation."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from delineate.console import Bars
from delineate.contracts import Batch
from delineate.engine.callbacks import ends_step
from delineate.engine.task import Task
from delineate.systems.brainstem.pace import Pace
from delineate.training import Lesson

__all__ = ["Diary"]

log = logging.getLogger("delineate")

METRICS = {"loss": "val_loss", "dice": "val_dice", "accuracy": "val_accuracy"}
"""What a checkpoint calls the figures of the last validation."""


class Diary(Callback):
    """Adds up the terms of the loss over an epoch, and remembers the last validation.

    Args:
        bars: told the last figures.
    """

    def __init__(self, lesson: Lesson, pace: Pace, bars: Bars) -> None:
        self.clock = lesson.task.clock
        self.pace = pace
        self.bars = bars
        self._sums: dict[str, torch.Tensor] = {}
        self._batches = 0
        self._metrics: dict[str, float] = {}

    @property
    def epochs_done(self) -> int:
        """Whole epochs that are over."""
        return self.clock.step // self.pace.steps_per_epoch

    @property
    def metrics(self) -> dict[str, float]:
        """`loss`, `dice` and `accuracy` of the last validation; empty before the first."""
        return dict(self._metrics)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up on the device; an epoch that is over is told."""
        for name, term in outputs["terms"].items():
            self._sums[name] = self._sums.get(name, 0) + term.detach().double()
        self._batches += 1
        if ends_step(trainer, batch_idx) and self.clock.step % self.pace.steps_per_epoch == 0:
            self._tell(float(task.optimizer.param_groups[0]["lr"]))

    def observe(self, scores: Mapping[str, float]) -> None:
        """The figures of a validation."""
        self._metrics = {own: scores[name] for own, name in METRICS.items() if name in scores}
        told = {k.removeprefix("val_"): v for k, v in scores.items() if "/" not in k}
        log.info(
            "validation after epoch %d: %s",
            self.epochs_done,
            ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in told.items()),
        )
        for name, value in scores.items():
            if name.startswith("val_dice/"):
                log.info("    %-36s %.4f", name.partition("/")[2], value)
        self.bars.figures = f", Dice {scores['val_dice']:.3f}"

    def state_dict(self) -> dict[str, Any]:
        """The sums of the epoch, and the last figures."""
        return {"sums": self._sums, "batches": self._batches, "metrics": self._metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._sums, self._batches = state_dict["sums"], state_dict["batches"]
        self._metrics = state_dict["metrics"]

    def _tell(self, rate: float) -> None:
        means = {name: float(total) / self._batches for name, total in self._sums.items()}
        self._sums, self._batches = {}, 0
        log.info(
            "epoch %d of %d: loss %.4f (%s), rate %.3g",
            self.epochs_done,
            self.pace.epochs,
            sum(means.values()),
            ", ".join(f"{name} {value:.4f}" for name, value in means.items()),
            rate,
        )
