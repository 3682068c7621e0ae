"""What happens between the steps: figures, validation, the average of the weights, the end."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from delineate.contracts import Batch
from delineate.engine.interrupt import Stop
from delineate.engine.memory_use import memory_figures
from delineate.engine.schedules import Watcher
from delineate.engine.task import Task
from delineate.engine.weights import Average, save_weights

__all__ = [
    "VALIDATION_SHARE",
    "Chance",
    "Figures",
    "Progress",
    "Report",
    "Stateful",
    "Validation",
    "ends_step",
]

log = logging.getLogger("delineate")

Report = Callable[[float, str], None]
"""Told the progress from 0 to 1 and a line of text."""
Score = Callable[[nn.Module], dict[str, float]]
"""The figures of a network on the validation cases, by name."""


@runtime_checkable
class Stateful(Protocol):
    """What can be saved in a state and put back."""

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on from what `state_dict` gave."""
        ...


VALIDATION_SHARE = 0.05
"""Validation may take this share of a budget in seconds: fewer cases, or less often.

A budget in steps has no such limit: what is scored and kept must not hang on the machine's speed.
"""


def ends_step(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the optimiser has moved after this batch: several may be gathered for one step."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


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
        if not ends_step(trainer, batch_idx):
            return
        task.clock.step = trainer.global_step
        self.report(task.clock.progress, f"step {trainer.global_step}")
        if task.clock.done:
            trainer.should_stop = True


class Chance(Callback):
    """Makes dropout and its like a function of (seed, batch), as the samples are.

    So neither a restart nor anything that draws between two steps changes the training.
    """

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, task: Task, batch: Batch, batch_idx: int
    ) -> None:
        """Seed the generators of PyTorch (all devices), NumPy and Python."""
        seed = int(np.random.SeedSequence([task.seed, batch.step]).generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 # whoever draws from it has no other
        random.seed(seed)


class Figures(Callback):
    """Means of the loss and its terms over the last steps, with rate and time."""

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._sums: dict[str, torch.Tensor] = {}
        self._batches = 0
        self._steps = 0

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up on the device; read and write once in a while."""
        for name, term in outputs["terms"].items():
            self._sums[name] = self._sums.get(name, 0) + term
        self._batches += 1
        if not ends_step(trainer, batch_idx):
            return
        self._steps += 1
        if self._steps == self.every or task.clock.done:
            means = {f"loss/{k}": float(v) / self._batches for k, v in self._sums.items()}
            figures = {"loss": sum(means.values()), "lr": task.optimizer.param_groups[0]["lr"]}
            _log(trainer, task, figures | means | memory_figures(task.device))
            self._sums, self._batches, self._steps = {}, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"sums": self._sums, "batches": self._batches, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on adding."""
        self._sums = state_dict["sums"]
        self._batches, self._steps = state_dict["batches"], state_dict["steps"]


class Validation(Callback):
    """Scores whole cases at intervals and keeps the weights with the best mean Dice.

    A validation is held between two steps, before the next one begins: a training that is killed
    within it goes on with it. After the last step there is always one.

    Args:
        score: the figures of a network; if it has a state, that is saved as well.
        keep: the file of the best weights.
        facts: what is written beside them, besides step and figure.
        times: how many validations there are, evenly spread over the progress.
        average: the decay of the average of the weights that is scored; 0 scores them as they are.
        stop: asked whether a signal came.
        watchers: told the figures, as the schedule is if it listens; if they have a state, that is
            saved as well.
    """

    def __init__(
        self,
        score: Score,
        *,
        keep: Path,
        facts: Mapping[str, Any] | None = None,
        times: int,
        average: float,
        stop: Stop | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.score = score
        self.keep = keep
        self.facts = dict(facts or {})
        self.times = times
        self.decay = average
        self.stop = stop or Stop()
        self.watchers = tuple(watchers)
        self.best = -1.0
        self._average: Average | None = None
        self._held = 0
        self._last: int | None = None
        self._spent = 0.0

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Begin the average of the weights."""
        self._average = Average(task.network, self.decay) if self.decay else None

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, task: Task, batch: Batch, batch_idx: int
    ) -> None:
        """Hold a validation when one is due."""
        clock = task.clock
        due = clock.progress * self.times >= self._held + 1
        affordable = clock.seconds is None or self._spent <= VALIDATION_SHARE * clock.elapsed
        between = batch_idx % trainer.accumulate_grad_batches == 0 and self._last != clock.step
        if due and affordable and between and not clock.done:
            self._validate(trainer, task)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Follow the weights."""
        if self._average is not None and ends_step(trainer, batch_idx):
            self._average.update(task.network)

    def on_train_end(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Score the weights of the end."""
        if self._last != task.clock.step:
            self._validate(trainer, task)
        share = self._spent / max(task.clock.elapsed, 1e-9)
        if share > 3 * VALIDATION_SHARE:
            log.info(
                "validation took %.0f %% of the time; fewer train.validations take less",
                100 * share,
            )

    def averages(self) -> list[Average]:
        """The average of the weights, if there is one; a divergence takes it back as well."""
        return [] if self._average is None else [self._average]

    def state_dict(self) -> dict[str, Any]:
        """The average, the best score, what was held and spent, and the cases that are scored."""
        return {
            "average": None if self._average is None else self._average.state_dict(),
            "followers": [thing.state_dict() for thing in self._followers],
            "best": self.best,
            "held": self._held,
            "last": self._last,
            "spent": self._spent,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        if self._average is not None:
            self._average.load_state_dict(state_dict["average"])
        for thing, state in zip(self._followers, state_dict["followers"], strict=True):
            thing.load_state_dict(state)
        self.best, self._held = state_dict["best"], state_dict["held"]
        self._last, self._spent = state_dict["last"], state_dict["spent"]

    @property
    def _followers(self) -> list[Stateful]:
        """The score and the watchers that have a state of their own."""
        return [t for t in (self.score, *self.watchers) if isinstance(t, Stateful)]

    def _validate(self, trainer: Trainer, task: Task) -> None:
        clock, started = task.clock, time.monotonic()
        held = int(clock.progress * self.times)
        network = task.network if self._average is None else self._average.network
        scores = self._scores(network)
        mean = scores["val_dice"]
        if mean > self.best:
            self.best = mean
            facts = {"step": clock.step, "val_dice": mean, **self.facts}
            save_weights(self.keep, network.state_dict(), facts)
        for watcher in (task.schedule, *self.watchers):
            if isinstance(watcher, Watcher):
                watcher.observe(scores)
        _log(trainer, task, scores)
        log.info("step %d: validation Dice %.4f", clock.step, mean)
        seconds = time.monotonic() - started
        self._held, self._last = held, clock.step
        self._spent += seconds
        if not clock.done:  # A last one quicker than thought must not set the clock back.
            clock.reserve = seconds

    def _scores(self, network: nn.Module) -> dict[str, float]:
        """Scoring changes nothing, so a signal may end it anywhere."""
        was_training = network.training
        network.eval()
        try:
            with self.stop.at_once():
                return self.score(network)
        finally:
            network.train(was_training)


def _log(trainer: Trainer, task: Task, figures: dict[str, float]) -> None:
    known = {"progress": task.clock.progress, "seconds": task.clock.elapsed}
    for logger in trainer.loggers:
        logger.log_metrics(known | figures, step=trainer.global_step)
