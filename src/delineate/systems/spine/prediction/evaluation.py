"""How well a checkpoint does on the slices of an experiment that it was not trained on."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from delineate.engine.manners import hushed, quiet
from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.report.hashes import hash_file
from delineate.systems.spine.learning.case_tables import mean_figures, write_rows
from delineate.systems.spine.learning.checkpoint import Trained, load_trained
from delineate.systems.spine.learning.epoch_figures import EpochFigures
from delineate.systems.spine.learning.scores import DEFAULTS
from delineate.systems.spine.prediction.answers import choose_device
from delineate.systems.spine.prediction.finished import Finished
from delineate.systems.spine.prediction.predict import labels_of
from delineate.systems.spine.samples.loading import Loaders, make_loaders
from delineate.systems.spine.schema.entries import Metric
from delineate.systems.spine.schema.settings import Experiment

__all__ = ["evaluate"]

Phase = Literal["val", "test"]
CONFUSION = "confusion_matrix"
"""A figure beside those that are asked for; as a matrix it is in no log."""


def evaluate(
    experiment: Experiment,
    checkpoint: Path | None,
    *,
    phase: Phase = "test",
    out: Path | None = None,
    device: str = "auto",
) -> Finished:
    """Measure a checkpoint, and write `metrics.json`, `slices.csv` and `confusion_matrix.csv`.

    Args:
        experiment: Its data, figures and folders count; the network is the checkpoint's.
        checkpoint: None takes the one that its training has left, <log>/checkpoints/<name>.ckpt.
        phase: Which slices.
        out: None is <log>/evaluation/<name>_<phase>.
        device: auto, cpu, cuda or cuda:N.
    """
    name = experiment.experiment_name
    checkpoint = checkpoint or experiment.directory.log / "checkpoints" / f"{name}.ckpt"
    trained = load_trained(checkpoint)
    batches = _batches(make_loaders(experiment), trained, phase, experiment)
    matrix = _Matrix(phase)
    figures = _measure(trained, experiment, batches, phase, device=device, matrix=matrix)
    folder = out or experiment.directory.log / "evaluation" / f"{name}_{phase}"
    rows = trained.module.rows
    names = _names(trained, len(matrix.counts))
    write_rows(folder / "slices.csv", rows)
    _write_table(
        folder / "confusion_matrix.csv",
        ["truth", *names],
        [[n, *counts] for n, counts in zip(names, matrix.counts, strict=True)],
    )
    facts = {
        "experiment": name,
        "phase": phase,
        "checkpoint": str(checkpoint),
        "sha256": hash_file(checkpoint),
        "task": trained.task,
        "classes": names,
        "slices": len(rows),
        "metrics": {key: None if math.isnan(v) else v for key, v in figures.items()},
        "mean_over_slices": mean_figures(rows),
    }
    with atomic_path(folder / "metrics.json") as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    told = ", ".join(f"{key} {value:.4f}" for key, value in figures.items())
    means = ", ".join(f"{key} {value:.4f}" for key, value in mean_figures(rows).items())
    lines = (f"{name}, {phase}: {told}", f"mean over {len(rows)} slices: {means}")
    return Finished(lines=lines, folder=folder)


@dataclass(frozen=True, slots=True)
class _Renumbered:
    """Batches whose classes stand where the network has learned them."""

    batches: Any
    places: Tensor
    """By class of the data, its place in the network's."""
    width: int

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            label = batch.label.new_zeros(len(batch.label), self.width)
            label[:, self.places] = batch.label
            yield replace(batch, label=label)


class _Matrix(Callback):
    """Takes the confusion matrix of a phase before it is forgotten."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.counts: list[list[int]] = []

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take it; the module's own hook comes behind the callbacks'."""
        figures: Any = pl_module.figures
        self.counts = figures.of(self.phase)[CONFUSION].compute().long().tolist()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """As of the validation."""
        self.on_validation_epoch_end(trainer, pl_module)


def _batches(loaders: Loaders, trained: Trained, phase: Phase, experiment: Experiment) -> Any:
    """The batches of a phase, as the network knows their classes."""
    if loaders.task != trained.task:
        raise DataError(
            f"{experiment.path}: its data are for {loaders.task}, but the checkpoint was trained "
            f"for {trained.task}. Fix: the experiment or the --dataset that it was trained with."
        )
    found = loaders.test if phase == "test" else loaders.val
    if found is None:
        raise DataError(
            f"{experiment.path}: there are no slices of phase {phase}. "
            f"Fix: --phase {'val' if phase == 'test' else 'test'}, or another --dataset."
        )
    here, learned = loaders.classes, trained.classes
    if trained.task == "segmentation" or not here or not learned or here == learned:
        return found
    if unknown := [name for name in here if name not in learned]:
        raise DataError(
            f"{experiment.path}: the data have {len(unknown)} classes that the network never saw, "
            f"such as {unknown[0]}; it knows {', '.join(learned[:8])}. "
            "Fix: the data set that it was trained with."
        )
    places = torch.tensor([learned.index(name) for name in here])
    return _Renumbered(found, places, len(learned))


def _measure(
    trained: Trained,
    experiment: Experiment,
    batches: Any,
    phase: Phase,
    *,
    device: str,
    matrix: _Matrix,
) -> dict[str, float]:
    """The figures of all batches together, by their names."""
    module = trained.module
    module.experiment = experiment
    metrics = experiment.metric or DEFAULTS[trained.task]
    confusion = Metric(name="torchmetrics.ConfusionMatrix", alias=CONFUSION)
    module.figures = EpochFigures((*metrics, confusion), trained.task, module.channels)
    chosen = choose_device(device)
    with quiet("no logger configured"), hushed():
        trainer = Trainer(
            accelerator="cpu" if chosen == "cpu" else "gpu",
            devices=1 if chosen == "cpu" else [int(chosen.partition(":")[2] or 0)],
            callbacks=[matrix],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        look = trainer.test if phase == "test" else trainer.validate
        look(module, batches, verbose=False)
    return {str(key): float(value) for key, value in trainer.callback_metrics.items()}


def _names(trained: Trained, number: int) -> list[str]:
    if trained.task == "segmentation":
        return ["background", *labels_of(trained.classes, number).names]
    known: Sequence[str] = trained.classes or ()
    return [known[k] if k < len(known) else str(k) for k in range(number)]


def _write_table(path: Path, columns: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
