"""What a checkpoint of a training holds: enough to predict, and enough to go on.

Only tensors, numbers and texts are read from it; nothing in it is executed.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from delineate.engine.checkpoint_file import read_checkpoint
from delineate.engine.manners import hushed
from delineate.errors import ConfigError, DataError
from delineate.systems.spine.learning.module import SliceModule
from delineate.systems.spine.schema.settings import Experiment

__all__ = ["Facts", "Trained", "facts_of", "find_checkpoint", "load_trained"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checkpoint says of its training."""

    experiment: dict[str, Any]
    task: Any
    classes: tuple[str, ...] | None
    structure: Mapping[str, Any] | None
    loggers: tuple[dict[str, Any], ...]
    epoch: int
    """Epochs that are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What predicts."""

    module: SliceModule
    """In evaluation mode, on the CPU until it is moved."""
    experiment: Experiment
    classes: tuple[str, ...] | None
    """Of slices, in the order of the probabilities; of masks None."""
    task: str

    def predict(self, images: Tensor) -> Tensor:
        """Probabilities (b, k) of classes, or (b, k, h, w); k is 1 for the foreground alone."""
        with torch.inference_mode():
            return self.module.predict(images)


def load_trained(path: Path) -> Trained:
    """The network of a checkpoint; what cannot be one is a DataError."""
    content = _read(path)
    facts = _facts(content, path)
    try:
        experiment = Experiment.model_validate(_without_beginning(facts.experiment))
    except ValidationError as error:
        raise DataError(f"{path}: its experiment cannot be read ({error}).") from None
    # Its training has made the remarks on the experiment.
    with hushed("delineate", least=logging.ERROR):
        module = SliceModule(experiment, facts.task, facts.classes, structure=facts.structure)
    try:
        # Weights of classes are the loss's: they come from the training data, which are not here.
        own = {name: value for name, value in module.state_dict().items() if _of_loss(name)}
        kept = {name: v for name, v in content["state_dict"].items() if not _of_loss(name)}
        module.load_state_dict(kept | own)
    except RuntimeError as error:
        raise DataError(
            f"{path}: the weights do not fit {experiment.model.name}: "
            f"{str(error).splitlines()[-1].strip()} Fix: the files of your own that it was "
            "trained with."
        ) from None
    return Trained(
        module=module.eval(), experiment=experiment, classes=facts.classes, task=facts.task
    )


def facts_of(path: Path) -> Facts:
    """What a checkpoint says of its training; one that is none is a DataError."""
    return _facts(_read(path), path)


def _of_loss(name: str) -> bool:
    return name.startswith("loss.")


def find_checkpoint(wanted: Mapping[str, Any] | str, experiment: Experiment) -> Path:
    """`resume_ckpt`: a path, or a file of a run below the logs of a registry."""
    log = experiment.directory.log
    if isinstance(wanted, str):
        places = [Path(wanted), experiment.directory.weights / wanted, log / wanted]
        places.append(experiment.path.parent / wanted)
        found = [place for place in places if place.is_file()]
        looked = ", ".join(map(str, places))
    else:
        run, file = str(wanted.get("run_name", "*")), str(wanted.get("file_name", "last.ckpt"))
        file = file if file.endswith(".ckpt") else f"{file}.ckpt"
        root = log / str(wanted.get("registry", "*"))
        looked = f"{root}/**/{run}/**/{file}"
        found = sorted(
            path for path in log.glob(f"{root.name}/**/{file}") if run == "*" or run in path.parts
        )
    if not found:
        raise ConfigError(f"model.resume_ckpt: there is no {looked}. Fix: the name of a run there.")
    return found[0]


def _read(path: Path) -> dict[str, Any]:
    give = "a .ckpt of `ml_framework train`; weights of other programs are for model.pretrained"
    return read_checkpoint(path, ("state_dict", "spine"), give=give)


def _facts(content: Mapping[str, Any], path: Path) -> Facts:
    held = content["spine"]
    try:
        classes = held["classes"]
        return Facts(
            experiment=held["experiment"],
            task=held["task"],
            classes=None if classes is None else tuple(classes),
            structure=held["structure"],
            loggers=tuple(held.get("loggers", ())),
            epoch=_epochs_done(content),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: what it says of its training is broken ({error}).") from None


def _epochs_done(content: Mapping[str, Any]) -> int:
    progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {})
    return int(progress.get("current", {}).get("processed", content.get("epoch", 0)))


def _without_beginning(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint are its own: what they began with need not be there."""
    plain = dict(experiment)
    model = dict(plain["model"])
    model["params"] = {k: v for k, v in model["params"].items() if k != "pretrained"}
    plain["model"] = model
    return plain
