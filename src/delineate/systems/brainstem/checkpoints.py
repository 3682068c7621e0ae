"""The documented .pth files: written so that plain PyTorch loads them, and gone on from.

best_model.pth holds the average of the weights with the best Dice of a validation;
checkpoint_epoch_XXX.pth, XXX from 000, all that a training goes on from after that epoch.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file

from delineate.contracts import Batch
from delineate.engine import checkpoint_file
from delineate.engine.resume import take_state
from delineate.engine.task import Task
from delineate.engine.weights import misfit, save_weights, separate
from delineate.errors import DataError
from delineate.plan import Plan, parse_plan
from delineate.systems.brainstem.diary import Diary
from delineate.training import Lesson

__all__ = ["BEST", "Keeper", "checkpoint_name", "go_on_from", "read_checkpoint"]

log = logging.getLogger("delineate")

BEST = "best_model.pth"
STATE = "engine_state"
"""The key of what is gone on from."""
PLAN = "plan"
"""The key of the channels, the classes and all else that a scan is brought to."""
NEEDED = ("epoch", "model_state_dict", "config")


def checkpoint_name(epoch: int) -> str:
    """Of the checkpoint after an epoch, which is counted from 0."""
    return f"checkpoint_epoch_{epoch:03d}.pth"


class Keeper(Callback):
    """Writes the checkpoints of one training.

    Between two steps, after any validation: an exact state. It must come after all that changes
    with a step.

    Args:
        diary: knows the epoch and the figures.
        folder: where they go.
        facts: what is written into each besides.
        every: epochs between two; the last epoch always has one.
    """

    def __init__(
        self, lesson: Lesson, diary: Diary, *, folder: Path, facts: Mapping[str, Any], every: int
    ) -> None:
        self.task = lesson.task
        self.weights = lesson.run.weights
        self.diary = diary
        self.folder = folder
        self.facts = facts
        self.every = every
        self._seen = _stamp(self.weights)
        self._last = 0

    def observe(self, scores: Mapping[str, float]) -> None:
        """Where the engine has just saved better weights, write them as well."""
        if (stamp := _stamp(self.weights)) != self._seen:
            self._write(BEST, load_file(self.weights), {})
            self._seen = stamp

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, task: Task, batch: Batch, batch_idx: int
    ) -> None:
        """The checkpoint of the epoch that is over, where one is due."""
        done = self.diary.epochs_done
        between = batch_idx % trainer.accumulate_grad_batches == 0
        ended = self.task.clock.step == done * self.diary.pace.steps_per_epoch
        if between and ended and done > self._last and done % self.every == 0:
            self._write_state(trainer, done)

    def on_train_end(self, trainer: Trainer, task: Task) -> None:  # type: ignore[override]
        """That of the end."""
        done = max(1, self.diary.epochs_done)
        if done > self._last:
            self._write_state(trainer, done)

    def state_dict(self) -> dict[str, Any]:
        """The last epoch that has a checkpoint."""
        return {"last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._last = state_dict["last"]

    def _write_state(self, trainer: Trainer, done: int) -> None:
        self._last = done
        weights = separate(self.task.network.state_dict())
        state = {"step": self.task.clock.step, "parts": take_state(trainer, self.task)}
        self._write(checkpoint_name(done - 1), weights, {STATE: state})

    def _write(self, name: str, weights: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        checkpoint_file.write_checkpoint(
            self.folder / name,
            self.task,
            epoch=max(0, self.diary.epochs_done - 1),
            weights=weights,
            facts={"metrics": self.diary.metrics, **self.facts, **more},
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; nothing in it is run. Another file is a DataError."""
    give = f"a {BEST} or {checkpoint_name(9)} of this trainer"
    return checkpoint_file.read_checkpoint(path, NEEDED, give=give)


def go_on_from(path: Path, lesson: Lesson) -> None:
    """Make the checkpoint the state that the engine goes on from, to the same bits."""
    content, clock = read_checkpoint(path), lesson.task.clock
    if STATE not in content:
        raise DataError(
            f"{path}: holds the best weights, not where the training was. "
            f"Fix: resume from a {checkpoint_name(9)}."
        )
    state, steps = content[STATE], clock.steps or 0
    if state["step"] >= steps:
        raise DataError(
            f"{path}: its training has done {content['epoch'] + 1} epochs already. "
            "Fix: ask for more with num_epochs."
        )
    if wrong := _differs(content, lesson):
        raise DataError(
            f"{path}: {wrong}. Fix: resume with the settings and labels it was made with."
        )
    parts = state["parts"]
    # An end that came early is not that of a training that goes on.
    parts["clock"]["ended"] = False
    if not _take_best(path.with_name(BEST), lesson, parts["Validation"]["best"]):
        parts["Validation"]["best"] = -1.0
    lesson.states.save(state["step"], parts)
    lesson.states.wait()
    log.info("goes on from %s, after epoch %d", path, content["epoch"])


def _differs(content: Mapping[str, Any], lesson: Lesson) -> str:
    """How what was learnt is not what is to be learnt; empty where it is."""
    plans = parse_plan(str(content.get(PLAN)), PLAN), lesson.plan
    for what in ("channels", "classes"):
        theirs, ours = (_named(plan, what) for plan in plans)
        if theirs != ours:
            return f"its {what} are {_first(theirs)}, those of this training {_first(ours)}"
    wrong = misfit(lesson.task.network, content["model_state_dict"])
    return f"its weights are of another network: {wrong}" if wrong else ""


def _named(plan: Plan, what: str) -> list[str]:
    if what == "channels":
        return list(plan.channels)
    return [f"{leaf.name} ({leaf.id})" for leaf in plan.labels.leaves]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _take_best(path: Path, lesson: Lesson, dice: float) -> bool:
    """The best weights so far, from beside the checkpoint; False where they are other ones."""
    if not path.is_file():
        return False
    content = read_checkpoint(path)
    if content.get("metrics", {}).get("dice") != dice:
        return False
    facts = {"val_dice": dice, "channels": list(lesson.plan.channels)}
    labels = {"labels": lesson.plan.labels.to_json()}
    save_weights(lesson.run.weights, content["model_state_dict"], facts | labels)
    return True


def _stamp(path: Path) -> int | None:
    """When a file was written; None where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else None
