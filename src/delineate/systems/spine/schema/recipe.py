"""An experiment that draws masks as a recipe of ours, and what of it has no counterpart there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from delineate import models
from delineate.config.yaml_text import write_yaml
from delineate.errors import ConfigError
from delineate.systems.spine.schema.experiment import read_experiment
from delineate.systems.spine.schema.recipe_steps import augment
from delineate.systems.spine.schema.settings import Experiment, Named

__all__ = ["convert_experiment", "to_recipe"]

KEYS = {
    "features": "init_features",
    "init_features": "init_features",
    "depth": "depth",
    "use_batch_norm": "batch_norm",
    "use_xavier": "xavier",
    "dropout": "dropout",
    "normalization": "normalization",
    "interpolation": "interpolation",
    "use_multiplier": "use_multiplier",
}
PLAIN = ("init_features", "depth", "batch_norm", "xavier", "dropout")
NETWORKS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "UNET": ({"name": "PlainUNet"}, PLAIN),
    "AttentionUNET": ({"name": "PlainUNet", "attention": True, "batch_norm": True}, PLAIN),
    "STAMPUNet": ({"name": "STAMPUNet", "batch_norm": True}, PLAIN),
    "ImproveSTAMPUNet": ({"name": "STAMPUNet", "batch_norm": True}, PLAIN),
    "DUCKNet": (
        {"name": "DUCKNet"},
        ("init_features", "depth", "normalization", "interpolation", "use_multiplier"),
    ),
}
"""Our network, and which keys it has."""
LOSSES: dict[str, dict[str, Any]] = {
    "DiceLoss": {"name": "Dice", "smooth": 1.0},
    "DuckNetDiceLoss": {"name": "Dice", "batch": True},
    "BCELoss": {"name": "CrossEntropy"},
    "BCEWithLogitsLoss": {"name": "CrossEntropy"},
    "CrossEntropyLoss": {"name": "CrossEntropy"},
    "NLLLoss": {"name": "CrossEntropy"},
    "WeightedCrossEntropy": {"name": "CrossEntropy"},
    "FocalLoss": {"name": "Focal"},
}
PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}
TRACKERS = {"wandb": "WandB", "mlflow": "MLflow", "tensorboard": "TensorBoard"}
DONE = ("LearningRateMonitor", "ModelCheckpoint", "SegmentationSampler")
"""Callbacks whose work every run here does."""


def convert_experiment(path: Path, out: Path) -> tuple[str, ...]:
    """Write the recipe that an experiment's YAML amounts to; what has no counterpart, a line each.

    Folders that its `directory` would tell are not needed: the recipe says `data.root`.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already. Fix: another name.")
    recipe, notes = to_recipe(read_experiment(path, directories={"log": "logs"}))
    out.parent.mkdir(parents=True, exist_ok=True)
    head = [f"{path.name} in the keys of delineate: delineate train {out.name}"]
    head += ["Not carried over:" if notes else "All of it is carried over.", *notes]
    text = "".join(f"# {line}\n" for line in head)
    out.write_text(f"{text}\n{write_yaml(recipe)}", encoding="utf-8")
    return notes


def to_recipe(experiment: Experiment) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The keys of a recipe, and what could not be said with them."""
    _refuse_classes(experiment)
    notes: list[str] = []
    trainer, (source, *others) = experiment.trainer, experiment.data.dataset.values()
    if others:
        notes.append("data: only the first of the sources; a recipe has one")
    root = experiment.directory.data / source.path
    split = not root.is_dir() or any((root / name).is_dir() for name in ("val", "train"))
    parts, size = augment(experiment.data, notes)
    recipe = {
        "data": {"root": str(root), "folds": None if split else 5},
        "plan": {"dims": 2, "patch": size, "batch_size": trainer.loader.batch_size},
        "model": _model(experiment, notes),
        "loss": list(_loss(experiment.model.loss, notes)),
        "augment": parts,
        "optimizer": {
            **trainer.optimizer.params,
            "name": trainer.optimizer.name,
            "lr": trainer.lr.init_value,
        },
        "schedule": _schedule(trainer.lr.scheduler, notes),
        "train": _train(experiment, notes),
        "track": list(_trackers(experiment, notes)),
        "run_dir": f"runs/{experiment.experiment_name}",
    }
    weights = experiment.model.params.get("pretrained")
    if isinstance(weights, str):
        recipe["start"] = {"weights": str(experiment.directory.weights / weights)}
    return {key: said for key, said in recipe.items() if said not in ([], {})}, tuple(notes)


def _refuse_classes(experiment: Experiment) -> None:
    steps = {step.name for step in experiment.data.preprocess}
    crawlers = {source.crawler.name for source in experiment.data.dataset.values()}
    if "one_hot_encoding" in steps or crawlers == {"file"}:
        raise ConfigError(
            f"{experiment.path.name}: tells classes of images; recipes here draw masks. "
            f"Fix: ml_framework train --config {experiment.path.name}"
        )


def _model(experiment: Experiment, notes: list[str]) -> dict[str, Any]:
    name, said = experiment.model.name, experiment.model.params
    if name in NETWORKS:
        fixed, known = NETWORKS[name]
        named = {KEYS[key]: value for key, value in said.items() if key in KEYS}
        found = {**fixed, **{key: value for key, value in named.items() if key in known}}
        if found.get("interpolation") == "bilinear":
            found["interpolation"] = "linear"
        return found
    if name not in models.__all__ and "." not in name:
        raise ConfigError(
            f"{experiment.path.name}: model '{name}' is no network of delineate.models. "
            f"There are: {', '.join(NETWORKS)}, {', '.join(models.__all__)}; one of your own is "
            "named in full: package.Network."
        )
    gone = ("in_channels", "out_channels", "out_activation", "pretrained", "freeze")
    return {"name": name, **{key: value for key, value in said.items() if key not in gone}}


def _loss(loss: Named, notes: list[str]) -> Iterator[dict[str, Any]]:
    if loss.name == "CombinedLoss":
        for entry in loss.params.get("losses", ()):
            for term in _loss(Named.model_validate(entry), notes):
                yield {**term, "weight": float(entry.get("weight", 1.0))}
    elif loss.name in LOSSES:
        kept = {key: loss.params[key] for key in ("gamma", "alpha") if key in loss.params}
        yield {**LOSSES[loss.name], **(kept if loss.name == "FocalLoss" else {})}
    else:
        notes.append(f"loss: {loss.name}; Dice and CrossEntropy stand for it")
        yield from ({"name": "Dice"}, {"name": "CrossEntropy"})


def _schedule(scheduler: Named | None, notes: list[str]) -> dict[str, Any]:
    if scheduler is None:
        return {"name": "Constant"}
    if scheduler.name in ("CosineLRScheduler", "CosineAnnealingLR"):
        if scheduler.params:
            notes.append(f"scheduler: {', '.join(scheduler.params)} of {scheduler.name}")
        return {"name": "Cosine", "warmup": 0.0}
    notes.append(f"scheduler: {scheduler.name}; the rate falls in half a cosine")
    return {"name": "Cosine"}


def _train(experiment: Experiment, notes: list[str]) -> dict[str, Any]:
    trainer = experiment.trainer
    said: dict[str, Any] = {
        "budget": f"{trainer.epochs} epochs",
        "seed": experiment.seed,
        "precision": PRECISIONS.get(trainer.precision, "auto"),
        "workers": trainer.loader.num_workers,
        "validations": max(1, trainer.epochs // trainer.val_every),
        "accumulate": trainer.accumulate_grad_batches,
        "foreground": 0.0,
    }
    if trainer.gradient_clip_val is not None:
        said["clip"] = trainer.gradient_clip_val
    for name, params in ((entry.name, entry.params) for entry in trainer.callbacks):
        if name == "EarlyStopping":
            said |= {"patience": int(params.get("patience", 3)), "on_plateau": "stop"}
        elif name not in DONE:
            notes.append(f"callback: {name}")
    return said


def _trackers(experiment: Experiment, notes: list[str]) -> Iterator[Mapping[str, Any]]:
    for logger in experiment.logger:
        if logger.name in TRACKERS:
            yield {"name": TRACKERS[logger.name]}
        elif logger.name != "csv":
            notes.append(f"logger: {logger.name}")
