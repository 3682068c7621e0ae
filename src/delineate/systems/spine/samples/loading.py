"""The loaders of an experiment: training, validation and test."""

import os
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from delineate.config.words import join
from delineate.data.epoch_order import Loader
from delineate.errors import DataError
from delineate.systems.spine.samples.batch_steps import Collate
from delineate.systems.spine.samples.cache import SliceCache, cache_folder
from delineate.systems.spine.samples.dataset import Recipe, SliceDataset
from delineate.systems.spine.samples.steps import Setting
from delineate.systems.spine.schema.entries import Phase
from delineate.systems.spine.schema.own_files import own_folders
from delineate.systems.spine.schema.settings import Experiment
from delineate.systems.spine.slices.order import each_once, training_order
from delineate.systems.spine.slices.sample import Task
from delineate.systems.spine.slices.table import Table, find_table

__all__ = ["Loaders", "make_loader", "make_loaders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaders:
    """What a training reads; a batch is a `SliceBatch`."""

    train: DataLoader[Any]
    val: DataLoader[Any] | None
    """None where there are no such slices, as `test`."""
    test: DataLoader[Any] | None
    task: Task
    classes: tuple[str, ...] | None
    """In the order of their numbers; None for masks."""
    table: Table


def make_loaders(experiment: Experiment) -> Loaders:
    """The loaders that an experiment asks for; no slices to train on are a DataError."""
    table = find_table(experiment.data, experiment.directory.data, seed=experiment.seed)
    train = _loader(experiment, table, "train")
    if train is None:
        raise DataError(
            f"data.dataset: {join(list(experiment.data.dataset), 'and')}: no slice to train on. "
            "Fix: put some into a folder train."
        )
    return Loaders(
        train=train,
        val=_loader(experiment, table, "val"),
        test=_loader(experiment, table, "test"),
        task=table.task,
        classes=table.classes,
        table=table,
    )


def make_loader(
    experiment: Experiment, phase: Phase, *, classes: tuple[str, ...] | None = None
) -> DataLoader[Any]:
    """The loader of one phase alone, each slice once and in the order of the table.

    Args:
        experiment: What is asked for.
        phase: Whose slices and steps.
        classes: Those of a trained network; a class beyond them is a DataError.
    """
    table = find_table(experiment.data, experiment.directory.data, seed=experiment.seed)
    if classes is not None and table.classes is not None:
        strange = [name for name in table.classes if name not in classes]
        if strange:
            raise DataError(
                f"data.dataset: the class '{strange[0]}' is none of the network's: "
                f"{', '.join(classes)}. Fix: give the data that it was made for."
            )
        table = Table(slices=table.slices, task=table.task, classes=classes)
    found = _loader(experiment, table, phase, learns=False)
    if found is None:
        counts = Counter(item.phase for item in table.slices)
        there = ", ".join(f"{n} in {name}" for name, n in counts.items())
        raise DataError(f"data.dataset: no slice is in phase {phase}; there are {there}.")
    return found


def _loader(
    experiment: Experiment, table: Table, phase: Phase, *, learns: bool | None = None
) -> DataLoader[Any] | None:
    slices = table.of(phase)
    if not slices:
        return None
    data, asked = experiment.data, experiment.trainer.loader
    folders = own_folders(experiment.directory.model, Path.cwd())
    setting = Setting(phase=phase, task=table.task, classes=table.classes or (), folders=folders)
    recipe = Recipe(steps=data.preprocess, setting=setting, seed=experiment.seed)
    key = recipe.chain(remarks=True).key
    cache = None
    # Windows cannot read a file at a place without moving in it.
    if data.cache and hasattr(os, "preadv"):
        places = [place for item in slices for place in (item.input_path, item.label)]
        cache = SliceCache(cache_folder(experiment.directory.log, key, places), len(slices))
    collate = Collate(data.batch_preprocess, setting, seed=experiment.seed)
    collate.check()
    dataset = SliceDataset(slices, recipe, cache=cache)
    learns = phase == "train" if learns is None else learns
    busy = asked.num_workers > 0
    return Loader(
        dataset,
        batch_size=asked.batch_size,
        sampler=training_order(table, experiment.trainer.sampler, seed=experiment.seed)
        if learns
        else each_once(slices),
        num_workers=asked.num_workers,
        collate_fn=collate,
        pin_memory=asked.pin_memory and torch.accelerator.is_available(),
        persistent_workers=asked.persistent_workers and busy,
        prefetch_factor=asked.prefetch_factor if busy else None,
        worker_init_fn=_alone,
        drop_last=asked.drop_last and learns and len(slices) >= asked.batch_size,
    )


def _alone(worker: int) -> None:
    """OpenCV starts threads of its own, which several reading processes have no cores for."""
    if find_spec("cv2") is not None:
        import cv2

        cv2.setNumThreads(0)
