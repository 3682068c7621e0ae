"""What happens between the steps: figures, validation, the average of the weights, the end."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from delineate.contracts import Batch
from delineate.engine.task import Task
from delineate.engine.weights import Average, save_weights

__all__ = ["VALIDATION_SHARE", "Figures", "Progress", "Report", "Validation"]

log = logging.getLogger("delineate")

Report = Callable[[float, str], None]
"""Told the progress from 0 to 1 and a line of text."""
Score = Callable[[nn.Module], dict[str, float]]
"""The figures of a network on the validation cases, by name."""

VALIDATION_SHARE = 0.1
"""Validation may take this share of the training's time: fewer cases, or less often."""


class Progress(Callback):
    """Keeps the clock, and ends the training when the budget is used up."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Start the clock."""
        task.clock.start()

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count the step."""
        task.clock.step = trainer.global_step
        self.report(task.clock.progress, f"step {trainer.global_step}")
        if task.clock.done:
            trainer.should_stop = True


class Figures(Callback):
    """Means of the loss and its terms over the last steps, with rate and time."""

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up on the device; read and write once in a while."""
        figures = {"loss": outputs["loss"].detach()}
        figures |= {f"loss/{k}": v for k, v in outputs["terms"].items()}
        for k, v in figures.items():
            self._sums[k] = self._sums.get(k, 0) + v
        self._count += 1
        if self._count == self.every or task.clock.done:
            means = {k: float(v) / self._count for k, v in self._sums.items()}
            _log(trainer, task, means | {"lr": task.optimizer.param_groups[0]["lr"]})
            self._sums, self._count = {}, 0


class Validation(Callback):
    """Scores whole cases at intervals and keeps the weights with the best mean Dice."""

    def __init__(self, score: Score, *, keep: Path, times: int, average: float) -> None:
        self.score = score
        self.keep = keep
        self.times = times
        self.decay = average
        self.best = -1.0
        self._average: Average | None = None
        self._held = 0
        self._spent = 0.0

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Begin the average of the weights."""
        self._average = Average(task.network, self.decay) if self.decay else None

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Follow the weights; hold a validation when one is due, and always at the end."""
        if self._average is not None:
            self._average.update(task.network)
        clock = task.clock
        due = clock.progress * self.times >= self._held + 1
        affordable = self._spent <= VALIDATION_SHARE * clock.elapsed
        if clock.done or (due and affordable):
            self._held = int(clock.progress * self.times)
            self._validate(trainer, task)

    def _validate(self, trainer: Trainer, task: Task) -> None:
        network = task.network if self._average is None else self._average.network
        started = time.monotonic()
        was_training = network.training
        network.eval()
        scores = self.score(network)
        network.train(was_training)
        mean = scores["val_dice"]
        if mean > self.best:
            self.best = mean
            facts = {"step": trainer.global_step, "val_dice": mean}
            save_weights(self.keep, network.state_dict(), facts)
        _log(trainer, task, scores)
        log.info("step %d: validation Dice %.4f", trainer.global_step, mean)
        seconds = time.monotonic() - started
        self._spent += seconds
        task.clock.reserve = seconds


def _log(trainer: Trainer, task: Task, figures: dict[str, float]) -> None:
    known = {"progress": task.clock.progress, "seconds": task.clock.elapsed}
    for logger in trainer.loggers:
        logger.log_metrics(known | figures, step=trainer.global_step)
