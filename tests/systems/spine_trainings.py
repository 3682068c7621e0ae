"""Small experiments of either task, over generated slices."""

from pathlib import Path
from typing import Any

import spine_world

from delineate.systems.spine.schema.settings import Experiment, Model, Named

UNET = {"name": "UNET", "features": 4, "depth": 2, "use_batch_norm": True, "in_channels": 1}
RESIZE = {"name": "alb.Resize", "params": {"height": 32, "width": 32}}
READ = [{"name": "to_gray", "target": ["data"]}, {"name": "tv.ToImage", "target": ["data"]}]
READ += [{"name": "tv.ToDtype", "params": {"dtype": "float32", "scale": True}, "target": ["data"]}]


def model(name: str = "UNET", loss: str = "DiceLoss", **params: Any) -> Model:
    return Model(name=name, params=params, loss=Named(name=loss))


def masks(folder: Path, **changes: Any) -> Experiment:
    """An experiment of masks, some of its sections changed; its slices are written first."""
    if not (folder / "data" / "slices").is_dir():
        spine_world.write_masks(folder / "data" / "slices")
    steps = [{"name": "load_segmentation_label", "target": ["label"]}]
    steps += [{**RESIZE, "target": ["data", "label"]}, *READ]
    said = {
        "model": {**UNET, "last_activation": "sigmoid", "loss": {"name": "DiceLoss"}},
        "data": {
            "dataset": {"lesions": _source("slices", "segmentation_file")},
            "preprocess": steps,
        },
    }
    return _experiment(folder, said, changes)


def classes(folder: Path, **changes: Any) -> Experiment:
    """An experiment of classes."""
    if not (folder / "data" / "classes").is_dir():
        spine_world.write_classes(folder / "data" / "classes")
    steps = [{"name": n, "target": ["label"]} for n in ("label_encoding", "one_hot_encoding")]
    steps += [{**RESIZE, "target": ["data"]}, *READ]
    said = {
        "model": {"name": "ResNet", "size": "18", "stem": "small", "num_classes": 3,
                  "in_channels": 1, "loss": {"name": "CrossEntropyLoss"}},
        "data": {"dataset": {"views": _source("classes", "file")}, "preprocess": steps},
    }  # fmt: skip
    return _experiment(folder, said, changes)


def _source(path: str, crawler: str) -> dict[str, Any]:
    return {"path": path, "driver": "pillow", "crawler": {"name": crawler, "params": {}}}


def _experiment(folder: Path, said: dict[str, Any], changes: dict[str, Any]) -> Experiment:
    whole: dict[str, Any] = {
        "project_name": "spine",
        "experiment_name": "first",
        "path": folder / "first.yaml",
        "directory": {"log": folder / "logs", "data": folder / "data", "weights": folder},
        "trainer": {"epochs": 2, "lr": {"init_value": 0.01}, "loader": {"batch_size": 4}},
        **said,
    }
    for key, value in changes.items():
        inner = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = {**whole[key], **value} if inner else value
    return Experiment.model_validate(whole)
