"""Exact resume: a training that is killed at any step goes on to the same weights, bit for bit.

A state is all that a step reads: network, optimiser, clock, gradient scaler, and whatever the
callbacks and loggers hand out by `state_dict`. Samples and dropout are functions of (seed, batch),
so no stream of chance has to be kept. A state is copied between two steps and written by a thread.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch.optim import Optimizer

from delineate.contracts import Batch
from delineate.engine.callbacks import ends_step
from delineate.engine.clock import Clock
from delineate.engine.interrupt import Interrupted, Stop
from delineate.engine.state_file import Snapshot, read_state
from delineate.engine.task import Task
from delineate.errors import DataError

__all__ = ["Saving", "State", "States", "take_state"]

log = logging.getLogger("delineate")

KEPT = 2
"""States on the disk: where the last one is damaged, the one before it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A training after some step."""

    step: int
    """Optimiser steps done."""
    parts: dict[str, Any]


class States:
    """The saved states of one training: `state-00000400.safetensors` and the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copy = Snapshot()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._writing: Future[None] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Oldest first."""
        return tuple(sorted(self.folder.glob("state-[0-9]*.safetensors")))

    def newest(self) -> State | None:
        """The last state that is whole; a damaged one is named in the log and removed."""
        files = list(self.files)
        while files:
            path = files.pop()
            try:
                parts = read_state(path)
            except DataError as error:
                then = "The state before it is taken." if files else "Training begins anew."
                log.warning("%s %s", error, then)
                path.unlink()
            else:
                return State(step=int(path.stem.removeprefix("state-")), parts=parts)
        return None

    def save(self, step: int, parts: dict[str, Any]) -> None:
        """Copy the state and return; the copy is written behind the caller's back."""
        self.wait()
        self._copy.take(parts)
        self._writing = self._writer.submit(self._write, step)

    def wait(self) -> None:
        """Return when the last state is on the disk; raise what kept it from getting there."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, step: int) -> None:
        self._copy.write(self.folder / f"state-{step:08d}.safetensors")
        for path in self.files[:-KEPT]:
            path.unlink(missing_ok=True)


class Saving(Callback):
    """Saves the state at intervals, at the end and on a signal; goes on from one at the start.

    It must come after all callbacks that change with a step.

    Args:
        begin: the state to go on from; None begins at step 0.
        seconds: wall-clock time between two states, or else
        steps: optimiser steps between them.
    """

    def __init__(
        self,
        states: States,
        stop: Stop,
        *,
        begin: State | None,
        seconds: float | None = None,
        steps: int | None = None,
    ) -> None:
        self.states = states
        self.stop = stop
        self.begin = begin
        self._interval = Clock(seconds=seconds, steps=steps)
        self._saved: int | None = None

    def on_train_start(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """Listen for signals; put back the state, after all others have begun."""
        self.stop.listen()
        if self.begin is not None:
            try:
                _restore(trainer, task, self.begin)
            except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise DataError(
                    f"{self.states.folder}: the state of step {self.begin.step} is of another "
                    f"version or of other parts ({error}). Fix: go on with the version that wrote "
                    "it, or begin anew with `delineate train ... --restart`."
                ) from error
            if task.clock.done:
                log.info("the training is complete: step %d", self.begin.step)
                trainer.should_stop = True
            else:
                log.info("goes on from step %d", self.begin.step)
            self.begin = None
        self._interval.start()

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, task: Task, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Save where it is time, where the training is complete, and before it is stopped."""
        if not ends_step(trainer, batch_idx):
            return
        self._interval.step += 1
        if self._interval.done or task.clock.done or self.stop.number is not None:
            self._save(trainer, task)
        self.stop.check()

    def on_train_end(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """The last state, with the last validation in it."""
        task.clock.ended = True
        self._save(trainer, task)
        self._leave()

    def on_exception(  # type: ignore[override]
        self, trainer: Trainer, task: Task, exception: BaseException
    ) -> None:
        """A signal comes between two steps, so the state is sound; another error may be amid."""
        if isinstance(exception, Interrupted):
            if self._saved != task.clock.step:
                self._save(trainer, task)
            exception.step = self._saved
        self._leave()

    def _leave(self) -> None:
        """Signals are heard until the last state is on the disk, or cannot be."""
        try:
            self.states.wait()
        finally:
            self.stop.leave()

    def _save(self, trainer: Trainer, task: Task) -> None:
        step = task.clock.step
        self.states.save(step, take_state(trainer, task))
        self._saved = step
        self._interval.step = 0
        self._interval.start()


def take_state(trainer: Trainer, task: Task) -> dict[str, Any]:
    """All that a training goes on from, between two steps, as `States.save` takes it."""
    return {name: thing.state_dict() for name, thing in _things(trainer, task).items()}


def _restore(trainer: Trainer, task: Task, state: State) -> None:
    """Put every part back; a callback or logger that the state does not know stays as it is."""
    if missing := sorted({"task", "optimizer", "clock"} - state.parts.keys()):
        raise LookupError(f"it has no {missing[0]}")
    for name, thing in _things(trainer, task).items():
        if name in state.parts:
            thing.load_state_dict(state.parts[name])
    _lay_out_alike(task.optimizer)
    # Callbacks and loggers ask the trainer for the step, which counts those of its optimiser.
    loop = trainer.fit_loop.epoch_loop.automatic_optimization
    loop.optim_progress.optimizer.step.total.completed = state.step


def _things(trainer: Trainer, task: Task) -> dict[str, Any]:
    """All that has a state, by a name that is the same in the next process."""
    things: dict[str, Any] = {
        "task": task,
        "optimizer": task.optimizer,
        "clock": task.clock,
        "schedule": task.schedule,
        "loss": task.loss,
        "precision": trainer.precision_plugin,
    }
    others = [*trainer.callbacks, *trainer.loggers]  # type: ignore[attr-defined] # not declared
    for other in others:
        name = type(other).__name__
        alike = sum(known.partition(" ")[0] == name for known in things)
        things[f"{name} {alike}" if alike else name] = other
    return {name: thing for name, thing in things.items() if hasattr(thing, "load_state_dict")}


def _lay_out_alike(optimizer: Optimizer) -> None:
    """Moments in the memory order of their weights: files know none, and steps are faster so."""
    for weight, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                moments[key] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
