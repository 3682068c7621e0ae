"""Masks of new scans from whatever predicts: a training, its folds, a package, a cascade."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from delineate.config import load_config
from delineate.engine.hardware import choose_device
from delineate.errors import ConfigError
from delineate.groundwork import Bars
from delineate.inference import Failure, Model, Outputs, find_scans, predict_cases
from delineate.inference.cascade import Cascade
from delineate.inference.model import Combine, Committee
from delineate.package import find_runs, mirrored_axes
from delineate.package.predictor import read_predictor

__all__ = ["Wishes", "predict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person says beside the model and the scans; None leaves it to the model."""

    beside: tuple[Path, ...] = ()
    """Models of other plans that answer together with the first one."""
    flips: bool | None = None
    """Average over mirrored copies."""
    overlap: float | None = None
    """The share of a window that it has in common with the next one."""
    combine: Combine | None = None
    """How several networks become one mask."""
    post: bool = True
    """Do the post-processing that was found to help."""
    memory_gb: float | None = None
    """GB that the process may hold while windows are predicted, and that it may take of a card."""
    device: str = "auto"
    trust: tuple[str, ...] = ()
    """Packages whose networks may be imported."""
    outputs: Outputs = field(default_factory=Outputs)


def predict(
    path: Path, scans: Sequence[Path], out: Path, *, wishes: Wishes, bars: Bars
) -> tuple[Failure, ...]:
    """Write the mask of every scan into the folder `out`; failures are returned."""
    model = _together([path, *wishes.beside], wishes) if wishes.beside else _open(path, wishes)
    found = find_scans(scans, len(model.channels))
    return predict_cases(
        model,
        bars.track(found, len(found), "predicting"),
        out,
        outputs=wishes.outputs,
        memory_gb=wishes.memory_gb,
        device=choose_device(wishes.device),
    )


def _open(path: Path, wishes: Wishes) -> Model | Cascade:
    return _as_wished(read_predictor(path, trust=wishes.trust), path, wishes)


def _together(paths: Sequence[Path], wishes: Wishes) -> Committee:
    """Models of several plans as one; post-processing, chosen for each alone, is left out."""
    if wishes.combine == "logits":
        raise ConfigError(
            "--combine logits: models of different plans meet on the scan's grid, as "
            "probabilities or masks. Fix: take probabilities, vote or staple."
        )
    each = replace(wishes, combine=None)
    models = []
    for path in paths:
        model = _open(path, each)
        if isinstance(model, Cascade):
            raise ConfigError(
                f"{path}: a cascade cannot answer together with others. "
                "Fix: name the models, not their cascade."
            )
        models.append(model)
    try:
        return Committee(models=tuple(models), combine=wishes.combine or "probabilities")
    except ValueError as error:
        raise ConfigError(f"{', '.join(map(str, paths))}: {error}.") from None


def _as_wished(model: Model | Cascade, path: Path, wishes: Wishes) -> Model | Cascade:
    """The model with what was asked for; of a cascade's stages nothing can be changed here."""
    named = {"flips": wishes.flips, "overlap": wishes.overlap, "combine": wishes.combine}
    changes: dict[str, Any] = {name: wish for name, wish in named.items() if wish is not None}
    if not wishes.post:
        changes["steps"] = ()
    if isinstance(model, Cascade):
        if changes:
            raise ConfigError(
                f"{path}: each stage of a cascade predicts as its own model does: "
                f"{', '.join(changes)} cannot be changed here. "
                "Fix: change the models that it names."
            )
        return model
    if wishes.flips is not None:
        changes["flips"] = _flips(model, path) if wishes.flips else ()
    return replace(model, **changes)


def _flips(model: Model, path: Path) -> tuple[int, ...]:
    """The axes that training mirrored; a model that saw no mirror images is worse on them."""
    if model.flips:
        return model.flips
    axes = (
        mirrored_axes(load_config(find_runs([path])[0].config), model.plan) if path.is_dir() else ()
    )
    if not axes:
        raise ConfigError(
            "--flips: this network was not trained on mirror images, so averaging over them "
            "would make its masks worse. Fix: train with `name: Flip` in augment or use none."
        )
    return axes
