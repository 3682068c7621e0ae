"""The documented .pth files: written so that plain PyTorch loads them, and gone on from.

best_model.pth holds the weights of the best validation; checkpoint_epoch_N.pth, N from 1, those of
the end of an epoch.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn
from torch.optim import Optimizer

from delineate.engine import checkpoint_file
from delineate.engine.task import Task
from delineate.engine.weights import misfit, separate
from delineate.errors import DataError
from delineate.systems.sadaan.diary import Diary
from delineate.training import Lesson

__all__ = ["BEST", "Keeper", "go_on_from", "read_checkpoint"]

log = logging.getLogger("delineate")

BEST = "best_model.pth"


class Keeper:
    """Writes the checkpoints of one training; as a watcher, best_model.pth.

    Args:
        diary: knows the losses so far.
        folder: where they go.
        facts: what is written into each besides.
        every: epochs between two periodic ones; None writes none.
    """

    def __init__(
        self,
        lesson: Lesson,
        diary: Diary,
        *,
        folder: Path,
        facts: dict[str, Any],
        every: int | None,
    ) -> None:
        self.task = lesson.task
        self.diary = diary
        self.weights = lesson.run.weights
        self.folder = folder
        self.facts = facts
        self.every = every
        self._best = -math.inf

    def observe(self, scores: Mapping[str, float]) -> None:
        """Where the engine has just saved better weights, write them as well."""
        if scores["val_dice"] > self._best:
            self._best = scores["val_dice"]
            self._write(BEST, load_file(self.weights), best=True)

    def end_epoch(self, epoch: int) -> None:
        """The periodic checkpoint after an epoch, counted from 1, where one is due."""
        if self.every is not None and epoch % self.every == 0:
            weights = separate(self.task.network.state_dict())
            self._write(f"checkpoint_epoch_{epoch}.pth", weights, best=False)

    def state_dict(self) -> dict[str, Any]:
        """The Dice of the weights that are kept."""
        return {"best": self._best if math.isfinite(self._best) else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._best = -math.inf if state["best"] is None else state["best"]

    def _write(self, name: str, weights: dict[str, Any], *, best: bool) -> None:
        checkpoint_file.write_checkpoint(
            self.folder / name,
            self.task,
            epoch=max(0, self.diary.epoch - 1),
            weights=weights,
            facts={"is_best": best, **self.diary.histories(), **self.facts},
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; nothing in it is run. Another file is a DataError."""
    give = f"a {BEST} or checkpoint_epoch_N.pth"
    return checkpoint_file.read_checkpoint(path, ("epoch", "model_state_dict"), give=give)


def go_on_from(path: Path, lesson: Lesson, diary: Diary) -> None:
    """Make the checkpoint the state that the engine goes on from: weights, optimiser, epoch."""
    content, task = read_checkpoint(path), lesson.task
    wrong = misfit(task.network, content["model_state_dict"])
    if wrong:
        raise DataError(
            f"{path}: its weights do not fit the network: {wrong}. "
            "Fix: resume with the structures and channels of that training."
        )
    task.network.load_state_dict(content["model_state_dict"])
    _put_back(task, content, path)
    diary.recall(content)
    steps = task.clock.steps or 0
    task.clock.step = min(steps, math.ceil((content["epoch"] + 1) * lesson.steps_per_epoch))
    if task.clock.step >= steps:
        raise DataError(
            f"{path}: its training has done {content['epoch'] + 1} epochs already. "
            "Fix: ask for more with training.num_epochs."
        )
    task.clock.start()
    things = {"task": task, "optimizer": task.optimizer, "clock": task.clock}
    things |= {"schedule": task.schedule} if hasattr(task.schedule, "load_state_dict") else {}
    parts = {name: thing.state_dict() for name, thing in things.items()}
    lesson.states.save(task.clock.step, parts)
    lesson.states.wait()


def _put_back(task: Task, content: Mapping[str, Any], path: Path) -> None:
    """Optimiser and schedule; one of another kind begins anew, and the log says so."""
    try:
        _from_one_group(task.optimizer, task.network, content["optimizer_state_dict"])
    except (KeyError, ValueError) as error:
        log.warning("%s: the optimiser begins anew (%s)", path, error)
    schedule: Any = task.schedule
    if hasattr(schedule, "load_state_dict"):
        try:
            schedule.load_state_dict(content["scheduler_state_dict"])
        except KeyError as error:
            log.warning("%s: the schedule begins anew (no %s)", path, error)


def _from_one_group(optimizer: Optimizer, network: nn.Module, state: Mapping[str, Any]) -> None:
    """Put the moments back; rates and decay are those that are asked for now."""
    places = {weight: place for place, weight in enumerate(network.parameters())}
    own = optimizer.state_dict()
    order = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = {
        index: state["state"][places[weight]]
        for index, weight in enumerate(order)
        if places[weight] in state["state"]
    }
    for index, of_weight in moments.items():
        if of_weight["exp_avg"].shape != order[index].shape:
            raise ValueError(f"its moments have the shape {tuple(of_weight['exp_avg'].shape)}")
    optimizer.load_state_dict({"state": moments, "param_groups": own["param_groups"]})
