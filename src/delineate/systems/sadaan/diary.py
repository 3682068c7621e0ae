"""The documented figures of a training by their names, batch by batch and epoch by epoch."""

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning.pytorch import Callback, Trainer

from delineate.contracts import Batch
from delineate.engine.callbacks import ends_step
from delineate.engine.memory_use import memory_figures
from delineate.engine.task import Task
from delineate.engine.validation import VAL_LOSS
from delineate.systems.sadaan.scoring import Tally
from delineate.systems.sadaan.translate import TALLY, TERMS
from delineate.training import Lesson

__all__ = ["Diary", "EpochEnds", "Epochs", "Journal", "Unheard"]

log = logging.getLogger("delineate")


class Journal(Protocol):
    """Where figures and files go: a run of Sacred, or nowhere."""

    def log_scalar(self, name: str, value: float, step: int, /) -> object:
        """A figure at a step."""
        ...

    def add_artifact(self, path: str, /) -> object:
        """A file that belongs to the run."""
        ...


class Unheard:
    """A journal that nobody keeps."""

    def log_scalar(self, name: str, value: float, step: int, /) -> None:
        """Nothing."""

    def add_artifact(self, path: str, /) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs of a training; its steps need not divide one, nor end with one."""

    number: int
    per_epoch: float
    """Optimiser steps."""

    @classmethod
    def of(cls, lesson: Lesson) -> "Epochs":
        """The epochs of a training whose budget is in epochs."""
        number = lesson.config.train.budget.epochs
        assert number is not None
        return cls(number, lesson.steps_per_epoch)

    def done(self, step: int) -> int:
        """Whole epochs in so many steps."""
        return min(self.number, int(step / self.per_epoch + 1e-6))


class Diary:
    """Writes figures into the journal and the log, and remembers the losses.

    It watches the validation. Losses of batches and epochs are unweighted terms and weighted sums.

    Args:
        every: batches between two lines of their figures.
        longest: losses that are remembered.
    """

    def __init__(self, lesson: Lesson, journal: Journal, *, every: int, longest: int) -> None:
        self.task = lesson.task
        self.journal = journal
        self.epochs = Epochs.of(lesson)
        self.every = every
        self.longest = longest
        self._losses: dict[str, list[float]] = {"train": [], "val": []}
        self._best: dict[str, float] = {}
        self._sum = torch.zeros((), dtype=torch.float64)
        self._batches = 0

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self.epochs.done(self.task.clock.step)

    def batch(self, batch: Batch, outputs: Mapping[str, Any]) -> None:
        """The figures of a batch, where it is time."""
        terms: Mapping[str, torch.Tensor] = outputs["terms"]
        total = torch.stack([term.detach().double() for term in terms.values()]).sum()
        self._sum = self._sum.to(total.device) + total
        self._batches += 1
        number = batch.step + 1
        if number % self.every:
            return
        figures = {key: terms[part] for key, part in TERMS.items() if part in terms}
        values = torch.stack([*(f.detach().double() for f in figures.values()), total]).tolist()
        for key, value in zip(figures, values, strict=False):
            weight = self.task.loss.weights[TERMS[key]]
            assert isinstance(weight, int | float)
            self.journal.log_scalar(f"train.batch.{key}", value / weight, number)
        self.journal.log_scalar("train.batch.total", values[-1], number)
        rate = self.task.optimizer.param_groups[0]["lr"]
        self.journal.log_scalar("train.learning_rate", rate, number)

    def end_epoch(self, epoch: int) -> None:
        """The figures of the epoch that is over, counted from 1.

        Where a step sees more than all samples, a second epoch that ends with it has none.
        """
        if not self._batches:
            return
        presence, dice = self._tally.take()
        loss = float(self._sum) / self._batches
        self._sum, self._batches = torch.zeros_like(self._sum), 0
        self._remember("train", loss)
        self._write("train", epoch, loss, presence, dice)
        for name, value in memory_figures(self.task.device).items():
            self.journal.log_scalar(f"system.{name}", value, epoch)

    def observe(self, scores: Mapping[str, float]) -> None:
        """The figures of a validation."""
        loss, presence, dice = scores[VAL_LOSS], scores["val_presence"], scores["val_dice"]
        self._remember("val", loss)
        self._write("val", self.epoch, loss, presence, dice)
        for name, value in scores.items():
            kind, _, structure = name.partition("/")
            if structure:
                named = {"val_dice": "dice", "val_presence": "presence_accuracy"}[kind]
                self.journal.log_scalar(f"val.epoch.{named}.{structure}", value, self.epoch)
        if dice > self._best.get("mean_dice", -1.0):
            self._best = {
                "validation_loss": loss,
                "presence_accuracy": presence,
                "mean_dice": dice,
            }

    def close(self) -> dict[str, float]:
        """Write the figures of the weights that are kept, and return them."""
        for name, value in self._best.items():
            self.journal.log_scalar(f"final.{name}", value, self.epoch)
        return dict(self._best)

    def histories(self) -> dict[str, list[float]]:
        """The last losses, under the names that checkpoints have for them."""
        return {f"{part}_loss_history": list(losses) for part, losses in self._losses.items()}

    def recall(self, checkpoint: Mapping[str, Any]) -> None:
        """Go on with the losses of a checkpoint, if it has them."""
        for part, losses in self._losses.items():
            losses[:] = map(float, checkpoint.get(f"{part}_loss_history", []))

    def state_dict(self) -> dict[str, Any]:
        """The losses, the best figures, and the sums of the epoch."""
        return {
            "losses": self._losses,
            "best": self._best,
            "sum": self._sum,
            "batches": self._batches,
            "tally": self._tally.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._losses, self._best = state["losses"], state["best"]
        self._sum, self._batches = state["sum"], state["batches"]
        self._tally.load_state_dict(state["tally"])

    @property
    def _tally(self) -> Tally:
        tally = self.task.loss.terms[TALLY]
        assert isinstance(tally, Tally)
        return tally

    def _remember(self, part: str, loss: float) -> None:
        self._losses[part] = [*self._losses[part], loss][-self.longest :]

    def _write(self, part: str, epoch: int, loss: float, presence: float, dice: float) -> None:
        figures = {"total_loss": loss, "presence_accuracy": presence, "mean_dice": dice}
        for name, value in figures.items():
            self.journal.log_scalar(f"{part}.epoch.{name}", value, epoch)
        log.info(
            "epoch %d, %s: loss %.4f, presence accuracy %.4f, Dice %.4f",
            epoch,
            {"train": "training", "val": "validation"}[part],
            loss,
            presence,
            dice,
        )


class EpochEnds(Callback):
    """Tells batches and the ends of epochs, of which the engine knows none, and cleans up memory.

    Args:
        batch: told every batch and what the step gave.
        ends: told each epoch that is over, counted from 1.
        epochs: of the training.
        clean_every: batches between two clean-ups; 0 makes none.
    """

    def __init__(
        self,
        batch: Callable[[Batch, Mapping[str, Any]], None],
        ends: Sequence[Callable[[int], None]],
        *,
        epochs: Epochs,
        clean_every: int,
    ) -> None:
        self.batch = batch
        self.ends = tuple(ends)
        self.epochs = epochs
        self.clean_every = clean_every

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Several epochs may end with one step, where a step sees more than all samples."""
        self.batch(batch, outputs)
        if self.clean_every and (batch_idx + 1) % self.clean_every == 0:
            clean_up(task.device)
        if ends_step(trainer, batch_idx):
            step = task.clock.step
            for epoch in range(self.epochs.done(step - 1) + 1, self.epochs.done(step) + 1):
                for end in self.ends:
                    end(epoch)


def clean_up(device: torch.device) -> None:
    """Collect young garbage; on a card that is nearly full, give back what is not in use.

    A full collection, or emptying the cache of a card with room, costs more than it frees.
    """
    gc.collect(1)
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        if free < 0.1 * whole:
            torch.cuda.empty_cache()
