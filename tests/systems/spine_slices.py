"""Folders of small pictures, and experiments that read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from delineate.systems.spine.schema.settings import (
    Data,
    Directory,
    Experiment,
    Loader,
    Model,
    Named,
    Step,
    Trainer,
)

ALL = ("train", "val", "test")
LOAD = {"name": "load_segmentation_label", "target": ["label"], "phase": list(ALL)}


def picture(path: Path, array: np.ndarray) -> Path:
    """Written where its folder need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def noise(seed: int, shape: tuple[int, ...] = (12, 10)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def masked(root: Path, counts: Mapping[str, int], *, shape: tuple[int, ...] = (12, 10)) -> Path:
    """<phase>/images beside <phase>/masks."""
    number = 0
    for phase, count in counts.items():
        for _ in range(count):
            number += 1
            picture(root / phase / "images" / f"s{number}.png", noise(number, shape))
            mask = np.where(noise(number, shape[:2]) > 128, 255, 0).astype(np.uint8)
            picture(root / phase / "masks" / f"s{number}.png", mask)
    return root


def classed(root: Path, counts: Mapping[str, int], classes: Sequence[str]) -> Path:
    """<phase>/<class>."""
    number = 0
    for phase, count in counts.items():
        for name in classes:
            for _ in range(count):
                number += 1
                picture(root / phase / name / f"s{number}.png", noise(number))
    return root


def data(crawler: str, steps: Sequence[Mapping[str, Any]] = (), **source: Any) -> Data:
    """One source called `a` in a folder `a`."""
    own = {"path": "a", "crawler": {"name": crawler, "params": source.pop("params", {})}}
    return Data.model_validate({"dataset": {"a": {**own, **source}}, "preprocess": list(steps)})


def experiment(root: Path, asked: Data, **trainer: Any) -> Experiment:
    """One whose data lie below `root` and whose logs go there."""
    loader = Loader(batch_size=trainer.pop("batch_size", 4), **trainer.pop("loader", {}))
    return Experiment(
        project_name="test",
        experiment_name="test",
        directory=Directory(log=root / "log", data=root),
        model=Model(name="UNET", loss=Named(name="DiceLoss")),
        data=asked,
        trainer=Trainer(epochs=1, loader=loader, **trainer),
        path=root / "test.yaml",
    )


def step(
    name: str, *, target: Sequence[str] = (), phase: Sequence[str] = ALL, **params: Any
) -> Step:
    return Step.model_validate(
        {"name": name, "params": params, "target": list(target), "phase": list(phase)}
    )
