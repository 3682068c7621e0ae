"""The documented configuration in the engine's words: the recipe `stroke` with what is wished.

Three things are not as in the origin. A sample is a patch at the scan's own resolution, not the
whole head squeezed into the input shape, so no mask is ever resampled. No stage is larger than the
last one, in voxels or in network, so that each can grow out of the one before. Where the names of
all scans tell the site (sub-r048s014), whole sites are held out.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.config import Config, load_config
from delineate.datasets import Dataset, read_dataset
from delineate.systems.stroke.scoring import TALLY
from delineate.systems.stroke.settings import LAST, Augmentation, Settings

__all__ = ["DIRECT_FILTERS", "SITE", "make_config", "make_direct_config", "training_folder"]

log = logging.getLogger("delineate")

SITE = re.compile(r"sub-(r\d+)s\d+")
"""Where the name of a scan of ATLAS 2.0 tells its site."""
TRAINING = "Training"
DIRECT_FILTERS = 40
"""Base filters of the network that is trained without stages."""
RATE = 1e-4
CM = 0.1
"""Documented weights are for terms near 1: a boundary counts in cm, the engine's term in mm."""


def make_config(settings: Settings, run_dir: Path) -> Config:
    """The training in four stages; `run_dir` gets a folder for each."""
    said = _around(settings, run_dir)
    final, asked = _final_network(settings, said["stages"][-1]["model"]), _checkpointing(settings)
    largest = settings.model.input_shape
    for stage in said["stages"]:
        wish, plan = settings.stage(stage["name"]), stage["plan"]
        plan["patch"] = _within(wish.input_shape or plan["patch"], largest)
        if stage["name"] == LAST and largest is not None and wish.input_shape is None:
            plan["patch"] = list(largest)
        plan["batch_size"] = wish.batch_size or _batch_size(settings) or plan["batch_size"]
        stage["model"] = _smaller(stage["model"], final) if stage["name"] != LAST else final
        if asked is not None:
            stage["model"]["checkpointing"] = asked
        epochs = wish.epochs or (settings.training.epochs if stage["name"] == LAST else None)
        if epochs is not None:
            stage["train"]["budget"] = f"{epochs} epochs"
        # Validations come with epochs: patience counts them, and so does each row of the log.
        stage["train"]["validations"] = int(stage["train"]["budget"].split()[0])
    return Config.model_validate(said)


def training_folder(data_dir: Path) -> Path:
    """`Training` where it is there: test scans of a site that teaches are no fault of the data."""
    root = data_dir.expanduser().absolute()
    return root / TRAINING if (root / TRAINING).is_dir() else root


def make_direct_config(settings: Settings, run_dir: Path) -> Config:
    """The last stage alone, from random weights and with at most 40 base filters."""
    config = make_config(settings, run_dir).model_dump(mode="json")
    last = config.pop("stages")[-1]
    filters = min(DIRECT_FILTERS, last["model"]["base_filters"])
    config["model"] |= last["model"] | {"base_filters": filters}
    config["plan"] |= last["plan"]
    config["train"] |= last["train"]
    return Config.model_validate(config)


def _around(settings: Settings, run_dir: Path) -> dict[str, Any]:
    """What holds for every stage."""
    root = training_folder(settings.data.data_dir)
    said = load_config("stroke", [f"data.root={root}"]).model_dump(mode="json")
    folds = max(2, round(1 / settings.training.validation_split))
    training, hardware = settings.training, settings.hardware
    said["run_dir"] = str(run_dir)
    said["data"] |= {"folds": folds, "group": _group(settings, root, folds)}
    said["data"]["cache"] = str(settings.data.cache_dir or run_dir.parent / "cache")
    said["plan"]["memory_gb"] = hardware.gpu_memory_limit
    said["model"] |= {"deep_supervision": settings.model.use_deep_supervision}
    said["loss"] = [*_loss(settings, said["loss"]), {"name": TALLY, "weight": 0.0}]
    if settings.augmentation is not None:
        said["augment"] = _augment(settings.augmentation, training.augmentation_prob)
    if training.learning_rate is not None:
        said["optimizer"]["lr"] = training.learning_rate
    said["schedule"] = _schedule(settings, said["schedule"])
    workers = settings.data.num_workers
    workers = hardware.num_workers if workers is None else workers
    said["train"] |= {
        "seed": training.seed,
        "device": hardware.device,
        "workers": "auto" if workers is None else workers,
        "precision": "fp32" if _mixed(settings) is False else "auto",
        "patience": training.patience,
        "on_plateau": "stop",
        "checkpoint": "1 epochs",
    }
    said["track"] = [{"name": "TensorBoard"}] if training.use_tensorboard else []
    return said


def _final_network(settings: Settings, documented: Mapping[str, Any]) -> dict[str, Any]:
    """The network of the last stage."""
    wish = settings.model
    named = {
        "base_filters": wish.base_filters,
        "depth": wish.depth,
        "attention": wish.use_attention,
        "transformer": wish.use_transformer,
        "transformer_depth": wish.transformer_depth,
        "dropout": wish.dropout,
    }
    return {**documented, **{key: value for key, value in named.items() if value is not None}}


def _smaller(stage: Mapping[str, Any], final: Mapping[str, Any]) -> dict[str, Any]:
    """The network of a stage, with nothing in it that the last one lacks."""
    kept = {"depth", "base_filters"}
    limited = {
        key: min(value, final[key]) if key in kept else value for key, value in stage.items()
    }
    for part in ("attention", "transformer"):
        limited[part] = stage[part] and final[part]
    return limited | ({"dropout": final["dropout"]} if "dropout" in final else {})


def _within(shape: Any, largest: tuple[int, ...] | None) -> list[int]:
    return [min(pair) for pair in zip(shape, largest or shape, strict=True)]


def _batch_size(settings: Settings) -> int | None:
    return settings.training.batch_size_per_gpu or settings.training.batch_size


def _mixed(settings: Settings) -> bool | None:
    said = settings.hardware.use_mixed_precision
    return settings.training.mixed_precision if said is None else said


def _checkpointing(settings: Settings) -> bool | None:
    """Any of the documented keys turns it on; where all that are said are off, it is off."""
    said = (
        settings.hardware.gradient_checkpointing,
        settings.training.gradient_checkpointing,
        settings.model.memory_efficient,
    )
    known = [value for value in said if value is not None]
    return any(known) if known else None


def _group(settings: Settings, root: Path, folds: int) -> str | None:
    """How cases are kept together: by site where every name tells it and there are enough."""
    if settings.data.group == "subject":
        return None
    dataset = read_dataset(root)
    return SITE.pattern if _tells_sites(dataset, folds) else None


def _tells_sites(dataset: Dataset, folds: int) -> bool:
    cases = [case for case in dataset.cases if case.split != "test" and case.label is not None]
    found = [SITE.search(case.id) for case in dataset.cases]
    if not all(found):
        log.info("the names of the scans tell no sites: subjects are kept together")
        return False
    sites = {match[1] for case in cases if (match := SITE.search(case.id))}
    if len(sites) < folds:
        log.info("%d sites are too few for %d folds: subjects are kept together", len(sites), folds)
        return False
    return True


def _loss(settings: Settings, documented: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Generalised Dice, focal and boundary by their weights; the recipe's where none are given."""
    wish = settings.loss
    if wish is None:
        return documented
    dice, focal, boundary = (dict(term) for term in documented)
    dice["weight"] = wish.dice_weight
    focal |= {"weight": wish.focal_weight, "gamma": wish.focal_gamma, "alpha": wish.focal_alpha}
    most = CM * wish.boundary_weight
    boundary["weight"] |= {"start": most / 100, "end": most}
    wanted = zip((dice, focal, boundary), (wish.dice_weight, wish.focal_weight, most), strict=True)
    return [term for term, weight in wanted if weight > 0]


def _augment(wish: Augmentation, share: float | None) -> list[dict[str, Any]]:
    """What changes samples; there is no shift, as patches lie anywhere.

    Args:
        share: of the samples that are changed at all; None changes each as often as it says.
    """
    often = 1.0 if share is None else share
    parts = {
        "Affine": {
            "rotation_degrees": max(map(abs, wish.rotation_range)),
            "scale": list(wish.scale_range),
            "probability": often * wish.spatial_prob,
        },
        "Elastic": {
            "strength": [0.0, min(wish.elastic_deformation, 0.4)],
            "probability": often * wish.elastic_prob,
        },
        "GaussianNoise": {
            "deviation": [0.0, wish.noise_std],
            "probability": often * wish.noise_prob,
        },
        "IntensityShift": {
            "offset": list(wish.brightness),
            "probability": often * wish.intensity_prob,
        },
        "Contrast": {"factor": list(wish.contrast), "probability": often * wish.intensity_prob},
        "Gamma": {"power": list(wish.gamma), "probability": often * wish.intensity_prob},
    }
    wanted = [{"name": name} | part for name, part in parts.items() if part["probability"] > 0]
    return [{"name": "Flip", "axes": "left_right"}, *wanted]


def _schedule(settings: Settings, documented: dict[str, Any]) -> dict[str, Any]:
    """The recipe's where none is given."""
    wish = settings.training.lr_schedule
    if wish is None:
        return documented
    warmup = {"warmup": min(0.5, wish.warmup_epochs / wish.decay_steps)}
    rate = settings.training.learning_rate or RATE
    parts: dict[str, dict[str, Any]] = {
        "cosine_decay": {"name": "Cosine", "end": wish.alpha},
        "reduce_on_plateau": {
            "name": "Plateau",
            "factor": wish.factor,
            "patience": wish.patience,
            "end": min(1.0, wish.min_lr / rate),
        },
        "polynomial_decay": {
            "name": "Poly",
            "power": wish.power,
            "end": min(1.0, wish.end_learning_rate / rate),
        },
        "constant": {"name": "Constant"},
    }
    return parts[wish.type] | warmup
