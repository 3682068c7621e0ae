"""Where a training writes: its folder, its loggers, and what is published of it."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger as LightningLogger

from delineate.config.arguments import parameters
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.io import atomic_path
from delineate.systems.spine.learning.kept_checkpoints import LAST
from delineate.systems.spine.schema.settings import Experiment, Logger
from delineate.tracking import MLflow, Sacred, TensorBoard, WandB
from delineate.tracking.json_lines import JsonLines

__all__ = ["Run", "kept_open", "last_checkpoint", "make_loggers", "open_run", "publish"]

log = logging.getLogger("delineate")

CHECKPOINTS = "checkpoints"
FILES = "runs"
"""Where runs lie whose only logger are files."""
TRACKERS: dict[str, Callable[..., LightningLogger]] = {
    "wandb": WandB,
    "mlflow": MLflow,
    "tensorboard": TensorBoard,
    "sacred": Sacred,
}
ONLY_FILES = ("csv", "none", "false")
_MARK = "DELINEATE_SPINE_RUN"
"""Tells the other processes of a training the folder that the first one has chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training."""

    folder: Path
    name: str


def open_run(experiment: Experiment, resume: Path | None = None, *, suffix: str = "") -> Run:
    """A folder that is not there yet: <log>/<logger>/<experiment>, then -2, -3 and so on.

    Args:
        resume: A checkpoint of the run that goes on.
        suffix: Behind the name of the experiment.
    """
    place = _place(experiment)
    if resume is not None and resume.parent.name == CHECKPOINTS:
        folder = resume.parent.parent
    elif _MARK in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":
        folder = Path(os.environ[_MARK])
    else:
        name = experiment.experiment_name + suffix
        names = (name if n == 1 else f"{name}-{n}" for n in count(1))
        folder = next(place / each for each in names if not (place / each).exists())
    os.environ[_MARK] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder=folder, name=folder.name)


def last_checkpoint(experiment: Experiment) -> Path:
    """last.ckpt of the newest run of this experiment; none is a ConfigError."""
    name = experiment.experiment_name
    found = [
        path
        for path in _place(experiment).glob(f"{name}*/{CHECKPOINTS}/{LAST}")
        if path.parts[-3].removeprefix(name).removeprefix("-").isdigit() or path.parts[-3] == name
    ]
    if not found:
        raise ConfigError(
            f"--resume: {_place(experiment)} has no run of {name} with {LAST} to go on with. "
            "Fix: train without --resume, or name a checkpoint."
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def make_loggers(experiment: Experiment, run: Run) -> list[LightningLogger]:
    """The loggers that are asked for, and metrics.jsonl in the folder of the run."""
    loggers: list[LightningLogger] = [JsonLines(run.folder / "metrics.jsonl")]
    for entry in experiment.logger:
        name = _kind(entry)
        if name in TRACKERS:
            loggers.append(_tracker(name, entry, experiment, run))
    plain = experiment.as_plain()
    for logger in loggers:
        logger.log_hyperparams(plain)
    return loggers


@contextmanager
def kept_open(loggers: Sequence[LightningLogger]) -> Iterator[None]:
    """Lightning closes its loggers after each stage; these are closed behind the last one."""
    for logger in loggers:
        logger.finalize = _stay  # type: ignore[method-assign]
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        for logger in loggers:
            del logger.finalize  # the class has it
            logger.finalize(status)


def _stay(status: str) -> None:
    """Not yet."""


def publish(best: Path, experiment: Experiment) -> Path:
    """Copy the best checkpoint to <log>/checkpoints, under the name of the experiment."""
    place = experiment.directory.log / CHECKPOINTS / f"{experiment.experiment_name}.ckpt"
    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(place) as part:
        shutil.copyfile(best, part)
    return place


def _place(experiment: Experiment) -> Path:
    kinds = [_kind(entry) for entry in experiment.logger]
    first = next((kind for kind in kinds if kind in TRACKERS), FILES)
    folder = experiment.directory.log / first
    return folder / experiment.project_name if first == "mlflow" else folder


def _kind(entry: Logger) -> str:
    """wandb for WandbLogger and wandb alike."""
    bare = entry.name.rpartition(".")[2].lower().removesuffix("logger")
    known = [*TRACKERS, *ONLY_FILES]
    if bare not in known:
        raise ConfigError(
            f"logger '{entry.name}' is unknown.{did_you_mean(bare, known)} There are: "
            f"{', '.join(TRACKERS)}, csv."
        )
    return bare


def _tracker(name: str, entry: Logger, experiment: Experiment, run: Run) -> LightningLogger:
    """A tracker with what it takes of the params; the others are told."""
    maker = TRACKERS[name]
    params: dict[str, Any] = dict(entry.params)
    if params.pop("offline", None):
        params["mode"] = "offline"
    folder = experiment.directory.log
    usual: Mapping[str, Any] = {"project": experiment.project_name}
    if name == "mlflow":
        store = (experiment.directory.log / "mlflow" / "mlruns").resolve().as_uri()
        usual = {"experiment": experiment.project_name, "tracking_uri": store}
        params["experiment"] = params.pop("experiment_name", experiment.project_name)
    if name in ("tensorboard", "sacred"):
        folder = run.folder
    known = parameters(maker)
    idle = sorted(params.keys() - known.keys())
    if idle:
        log.warning("logger %s: %s without effect.", entry.name, ", ".join(idle))
    own = {key: value for key, value in params.items() if key in known}
    given = {k: v for k, v in usual.items() if k in known and k not in own}
    called = {"folder": folder, "name": run.name} | given | own
    try:
        return maker(**called)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"logger {entry.name} refuses its params: {error}") from None
