"""Experiments after the published schema, each with a network, a loss and steps of its own."""

import itertools
from pathlib import Path

import yaml
from spine_pipeline_parts import (
    ALL,
    CLASS,
    DRAWING,
    IMAGE,
    MASK,
    RANDOM,
    TELLING,
    TENSOR,
    TIMM,
    Entry,
    step,
)

RATES = itertools.cycle(
    [
        ({"init_value": "1e-3"}, {"name": "Adam", "params": {}}),
        (
            {"init_value": "1e-3", "scheduler": {"name": "CosineLRScheduler", "params": {}}},
            {"name": "AdamW", "params": {"weight_decay": "1e-4"}},
        ),
        (
            {
                "init_value": "3e-4",
                "scheduler": {"name": "CosineLRScheduler", "params": {"cycle_decay": 0.025}},
            },
            {"name": "SGD", "params": {"momentum": 0.9}},
        ),
        (
            {"init_value": 1e-3, "scheduler": {"name": "StepLR", "params": {"step_size": 1}}},
            {"name": "Adam"},
        ),
    ]
)


def pipelines() -> dict[str, Entry]:
    """The experiments by name, without their folders."""
    found = {}
    for number, (name, keys, loss) in enumerate(DRAWING):
        steps = [*MASK, *RANDOM[number % len(RANDOM)]]
        data = _data("slices", "segmentation_file", [*steps, *(TENSOR, IMAGE)[number % 2]])
        data["postprocess"] = [step("sigmoid", "prediction")] if number % 2 else []
        said = _experiment(name, {**keys, "last_activation": "sigmoid"}, loss, data)
        said["metric"] = _mask_metrics()
        said["trainer"]["callbacks"] += _mask_callbacks(name)
        found[f"{number:02d}_draw_{name}"] = said
    for number, (name, keys, loss) in enumerate([*TELLING, *TIMM]):
        random = [s for s in RANDOM[number % 10] if s["target"] == ["data"]]
        data = _data("classes", "file", [*CLASS, *random, *IMAGE])
        data["postprocess"] = [step("softmax", "prediction")]
        said = _experiment(name, keys, loss, data)
        said["metric"] = _class_metrics(number)
        if number % 3 == 1:
            said["trainer"]["sampler"] = {"name": "WeightedRandomSampler", "params": {}}
        found[f"{number:02d}_tell_{name}"] = said
    return found


def write(said: Entry, root: Path, name: str) -> Path:
    """The experiment as a file in experiment/, its data set in dataset/: one level of include."""
    dataset = root / "dataset" / f"{name}_s1_1_32.yaml"
    path = root / "experiment" / "all" / f"{name}.yaml"
    for file, content in (
        (dataset, said["data"]),
        (path, {**said, "data": f"../../dataset/{dataset.name}"}),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def needs_timm(name: str) -> bool:
    """Whether the network of a pipeline is one of timm's."""
    return name.endswith(tuple(entry[0] for entry in TIMM))


def _data(path: str, crawler: str, steps: list[Entry]) -> Entry:
    sampling = {"name": "simple_sampling", "params": {"n": 0.9, "target": "phase", "shuffle": True}}
    source = {
        "path": path,
        "crawler": {"name": crawler, "params": {}},
        "driver": "torchvision" if len(steps) % 2 else "pillow",
        "pipeline": [{"name": "shuffle", "params": {}}, sampling],
    }
    return {"dataset": {path: source}, "preprocess": steps, "batch_preprocess": []}


def _experiment(name: str, keys: Entry, loss: Entry, data: Entry) -> Entry:
    rate, optimizer = next(RATES)
    trainer = {
        "name": "pytorch_lightning",
        "epochs": 1,
        "log_every": 1,
        "val_every": 1,
        "gpus": 0,
        "precision": 32,
        "lr": rate,
        "optimizer": optimizer,
        "loader": {
            "batch_size": 4,
            "num_workers": 0,
            "pin_memory": True,
            "persistent_workers": True,
        },
        "callbacks": [{"name": "LearningRateMonitor", "params": {"logging_interval": "epoch"}}],
    }
    return {
        "project_name": "published",
        "seed": 420,
        "directory": "../../_directory_ssd.yaml",
        "model": {"name": name, **keys, "loss": loss},
        "data": data,
        "trainer": trainer,
    }


def _mask_metrics() -> list[Entry]:
    task = {"task": "binary", "ml_type": "segmentation"}
    dice = {"num_classes": 2, "ignore_index": 0, "ml_type": "segmentation"}
    return [
        {"name": "torchmetrics.JaccardIndex", "alias": "iou", "phase": ALL, "params": task},
        {"name": "torchmetrics.Dice", "on_bar": True, "phase": ["val", "test"], "params": dice},
    ]


def _mask_callbacks(name: str) -> list[Entry]:
    best = {
        "filename": "{epoch:03d}-{val_Dice:.6f}",
        "save_top_k": 1,
        "save_last": True,
        "mode": "max",
        "monitor": "val_Dice",
    }
    found: list[Entry] = [
        {"name": "ModelCheckpoint", "params": best},
        {
            "name": "SegmentationSampler",
            "params": {"image_amount": 2, "class_labels": {1: "lesion"}},
        },
    ]
    if name == "ImproveSTAMPUNet":
        pruning = {
            "prune_every_n_epochs": 1,
            "prune_percentage": 1,
            "pruning_mode": "Taylor",
            "total_pruning_iterations": 2,
            "recovery_epochs": 1,
        }
        found.append({"name": "PruningCallback", "params": pruning})
    return found


def _class_metrics(number: int) -> list[Entry]:
    task = {"task": "multiclass", "num_classes": 3, "ml_type": "classification"}
    averages = [
        {
            "name": "torchmetrics.F1Score",
            "alias": f"f1_{average}",
            "phase": ALL,
            "params": {**task, "average": average},
        }
        for average in ("micro", "weighted", "macro")
    ]
    scikit = {
        "name": "sklearn.balanced_accuracy_score",
        "alias": "balanced",
        "phase": ["val"],
        "params": {"ml_type": "classification"},
    }
    accuracy = {"name": "torchmetrics.Accuracy", "phase": ALL, "params": task}
    return [accuracy, *averages, *([scikit] if number % 2 else [])]
