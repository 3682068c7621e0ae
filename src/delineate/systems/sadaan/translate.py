"""The documented settings in the engine's words: a plan of the data, and a configuration.

What the document does not say is the recipe `sadaan`'s. Images reach the network as they are
stored, 0 to 255: its first normalisation takes the scale away, the keys in those units need no
conversion, and a checkpoint answers to raw images.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.config import Config, load_config
from delineate.datasets import Dataset, read_dataset
from delineate.errors import ConfigError, DataError
from delineate.io import read_header, read_mask
from delineate.plan import Network, Normalisation, Plan
from delineate.systems.sadaan.settings import Settings

__all__ = [
    "TALLY",
    "TERMS",
    "find_mirrored_axes",
    "in_validations",
    "make_config",
    "make_plan",
    "read_data",
]

TERMS = {
    "segmentation": "PresentCrossEntropy",
    "dice": "PresentDice",
    "focal_seg": "PresentFocal",
    "absence": "Presence",
    "attention_supervision": "AttentionSupervision",
    "false_positive_suppression": "AbsenceSuppression",
    "confidence": "Confidence",
}
"""The term of the loss behind each documented weight."""
TALLY = "Tally"
"""The term that only counts; see `scoring`."""
HALVINGS = 4
LOOKED_AT = 20
"""Masks, evenly chosen, that show which axis runs from left to right."""


def read_data(settings: Settings) -> Dataset:
    """The documented data set; one that cannot be trained on is a DataError."""
    root = settings.dataset_path
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder. Fix: dataset_path=DIR with metadata.json, train.h5 and "
            "val.h5; `delineate synth structures DIR --layout hdf5` makes one to try."
        )
    dataset = read_dataset(root, layout="hdf5")
    splits = {case.split for case in dataset.cases}
    for split, file in (("train", "train.h5"), ("validation", "val.h5")):
        if split not in splits:
            raise DataError(f"{root}: there is no {file}, or nothing in it. Fix: write it there.")
    if dataset.labels is None:
        raise DataError(f"{root}: no file has 'masks'. Fix: write them, (n, structures, *shape).")
    if any(case.presence is None for case in dataset.cases):
        raise DataError(
            f"{root}: a file has no 'presence_labels'. Fix: write them, (n, structures) 0 or 1."
        )
    return dataset


def make_plan(settings: Settings, dataset: Dataset) -> Plan:
    """Whole volumes, as they are stored or resampled to `training.image_size`."""
    assert dataset.labels is not None
    first = next(case for case in dataset.cases if case.split == "train")
    header = read_header(first.images[0])
    channels, asked = header.channels, settings.model.in_channels
    if channels != asked:
        raise ConfigError(
            f"model.in_channels is {asked}, but the images of {dataset.root} have {channels}. "
            f"Fix: model.in_channels={channels}, or images of shape (n, {asked}, *shape)."
        )
    if len(header.shape) != 3:
        raise DataError(f"{dataset.root}: images have {len(header.shape)} axes, not three.")
    size = settings.training.image_size or header.shape
    stored = zip(header.spacing, header.shape, size, strict=True)
    patch = tuple(-(-n // 2**HALVINGS) * 2**HALVINGS for n in size)
    return Plan(
        channels=_channel_names(dataset, channels),
        labels=dataset.labels,
        spacing=tuple(mm * n / wished for mm, n, wished in stored),
        shape=tuple(size),
        crop_nonzero=False,
        normalisation=(Normalisation(kind="none"),) * channels,
        separate_axis=None,
        patch=patch,
        batch_size=settings.training.batch_size,
        network=Network(
            features=tuple(16 * 2**i for i in range(HALVINGS + 1)),
            strides=((1, 1, 1), *((2, 2, 2),) * HALVINGS),
            kernels=((3, 3, 3),) * (HALVINGS + 1),
            convolutions=(2,) * (HALVINGS + 1),
        ),
        memory_gb=0.0,
        reasons={
            "spacing": "As stored." if tuple(size) == header.shape else "training.image_size.",
            "patch": "The whole volume, each side filled up to a multiple of 16.",
            "batch_size": "training.batch_size.",
        },
    )


def make_config(settings: Settings, run: Path, *, mirrored: Sequence[int]) -> Config:
    """The configuration; everything that is documented in it is the settings'.

    Args:
        run: its folder; plan and cache lie beside it.
        mirrored: the axes that flips may reverse.
    """
    root = settings.dataset_path.absolute()
    said = load_config("sadaan", [f"data.root={root}"]).model_dump(mode="json")
    training = settings.training
    said["run_dir"] = str(run)
    said["data"] |= {"layout": "hdf5", "folds": None, "cache": str(run.with_name("cache"))}
    said["plan"] = {"file": str(run.with_name("plan.json"))}
    said["loss"] = _loss(settings)
    said["augment"] = _augment(settings, mirrored)
    said["optimizer"] |= {
        "name": {"adamw": "AdamW", "adam": "Adam"}[settings.optimizer.type],
        "lr": training.learning_rate,
        "weight_decay": settings.optimizer.weight_decay,
    }
    said["schedule"] = _schedule(settings)
    said["train"] |= {
        "budget": f"{training.num_epochs} epochs",
        "seed": settings.seed,
        "device": settings.device,
        "workers": training.num_workers,
        "validations": _validations(settings, training.num_epochs),
        "clip": training.gradient_clip_norm,
        "accumulate": training.gradient_accumulation_steps,
        "foreground": 0.0,
    }
    return Config.model_validate(said)


def in_validations(settings: Settings, epochs: int) -> int:
    """A patience in epochs as one in validations."""
    return max(1, -(-epochs // settings.training.validate_every_n_epochs))


def find_mirrored_axes(dataset: Dataset) -> tuple[int, ...]:
    """The axes that flips may reverse: all, or the left-right one where structures have a side.

    The documented files do not say how their axes lie in the body. A mirror across the axis along
    which left and right structures lie farthest apart exchanges their names; across another, with
    the names left alone or not, it would teach something wrong.
    """
    pairs = _pairs(dataset)
    if not pairs:
        return (0, 1, 2)
    cases = [case for case in dataset.cases if case.split == "train" and case.label is not None]
    apart = np.zeros(3)
    for case in cases[:: -(-len(cases) // LOOKED_AT)]:
        mask = read_mask(str(case.label)).array > 0
        for left, right in pairs:
            if mask[left].any() and mask[right].any():
                centres = [np.argwhere(mask[side]).mean(0) for side in (left, right)]
                apart += (centres[1] - centres[0]) / mask.shape[1:]
    return (int(np.abs(apart).argmax()),) if apart.any() else ()


def _pairs(dataset: Dataset) -> list[tuple[int, int]]:
    assert dataset.labels is not None
    place = {leaf.name: i for i, leaf in enumerate(dataset.labels.leaves)}
    return [(place[left], place[right]) for left, right in dataset.labels.pairs]


def _channel_names(dataset: Dataset, channels: int) -> tuple[str, ...]:
    if len(dataset.channels) == channels:
        return dataset.channels
    return tuple(f"channel_{i}" for i in range(1, channels + 1))


def _loss(settings: Settings) -> list[dict[str, Any]]:
    weights = settings.loss_weights.model_dump()
    terms = [{"name": TERMS[key], "weight": w} for key, w in weights.items() if w > 0]
    if not terms:
        raise ConfigError("loss_weights are all 0. Fix: at least one above 0.")
    module = "delineate.systems.sadaan.scoring"
    threshold = settings.model.presence_threshold
    return [*terms, {"name": f"{module}.{TALLY}", "weight": 0.0, "threshold": threshold}]


def _augment(settings: Settings, mirrored: Sequence[int]) -> list[dict[str, Any]]:
    """In the units of the images; every sample is changed by all of them."""
    wish = settings.augmentation
    if not wish.enabled:
        return []
    always = {"probability": 1.0}
    turn = {"rotation_degrees": wish.rotation_degrees, "scale": [1.0, 1.0]}
    flip = {"axes": list(mirrored), "probability": wish.flip_probability}
    if len(mirrored) == 1:
        flip["mirror_axis"] = mirrored[0]
    parts = [
        ({"name": "Flip"} | flip, wish.flip_probability > 0),
        ({"name": "Affine"} | turn | always, wish.rotation_degrees > 0),
        ({"name": "Brightness", "factor": list(wish.intensity_scale_range)} | always, True),
        ({"name": "GaussianNoise", "deviation": [wish.noise_std] * 2} | always, wish.noise_std > 0),
    ]
    return [part for part, wanted in parts if wanted]


def _schedule(settings: Settings) -> dict[str, Any]:
    """The schedule; a restart would leave the rate high at the end if cycles were cut."""
    wish, epochs = settings.optimizer, settings.training.num_epochs
    rise = min(settings.training.warmup_epochs, epochs)
    lowest = min(1.0, wish.lr_min / settings.training.learning_rate)
    warmup = {"warmup": rise / epochs}
    if wish.lr_scheduler == "cosine_annealing":
        cycles = max(1, round((epochs - rise) / wish.lr_restart_period))
        return {"name": "WarmRestarts", "cycles": cycles, "end": lowest} | warmup
    if wish.lr_scheduler == "reduce_on_plateau":
        return {
            "name": "delineate.systems.sadaan.plateau.LossPlateau",
            "factor": wish.lr_factor,
            "patience": in_validations(settings, wish.lr_patience),
            "end": lowest,
        } | warmup
    return {"name": "Constant"} | warmup


def _validations(settings: Settings, epochs: int) -> int:
    return max(1, round(epochs / settings.training.validate_every_n_epochs))
