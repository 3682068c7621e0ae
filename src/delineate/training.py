"""Teach a network: the task, its batches and the loop, as config and plan ask for them."""

import os
from collections.abc import Sequence

from torch import nn
from torch.optim import Optimizer

from delineate.augment import Sequence as Augmentation
from delineate.config import Config, build
from delineate.data import Cache
from delineate.data.batches import Batches
from delineate.datasets import Split
from delineate.engine.callbacks import (
    VALIDATION_SHARE,
    Figures,
    Progress,
    Report,
    Validation,
)
from delineate.engine.clock import Clock
from delineate.engine.environment import describe_environment
from delineate.engine.fit import fit
from delineate.engine.hardware import choose_device, choose_precision
from delineate.engine.optim import parameter_groups
from delineate.engine.task import Task
from delineate.engine.tracking import CsvTable
from delineate.engine.validation import Scorer
from delineate.engine.weights import load_weights
from delineate.losses import WeightedSum, as_term
from delineate.plan import Plan
from delineate.run_folder import RunFolder

__all__ = ["teach"]


def teach(
    network: nn.Module,
    config: Config,
    plan: Plan,
    cache: Cache,
    split: Split,
    *,
    run: RunFolder,
    report: Report,
) -> None:
    """Train the network; its best weights are saved, and loaded when this returns."""
    device = choose_device(config.train.device)
    precision = choose_precision(config.train.precision, device)
    run.write_json("environment.json", describe_environment(device, precision))
    task = _task(config, plan, network, num_training=len(split.training))
    held_out, learned = (
        [case.id for case in cases] for cases in (split.validation, split.training)
    )
    times = config.train.validations
    seconds = config.train.budget.seconds
    score = Scorer(
        cache,
        held_out,
        plan,
        device=device,
        overlap=config.predict.overlap,
        seconds=None if seconds is None else VALIDATION_SHARE * seconds / times,
    )
    validation = Validation(score, keep=run.weights, times=times, average=config.train.ema)
    terms = [f"loss/{name}" for name in task.loss.terms]
    dice = [f"val_dice/{name}" for name in plan.labels.names]
    columns = ["progress", "seconds", "lr", "loss", *terms, "val_dice", *dice]
    fit(
        task,
        _batches(config, plan, cache, learned, task.augment),
        device=device,
        precision=precision,
        callbacks=[Progress(report), validation, Figures()],
        logger=CsvTable(run.metrics, columns),
        clip=config.train.clip,
        accumulate=config.train.accumulate,
    )
    load_weights(network, run.weights)


def _task(config: Config, plan: Plan, network: nn.Module, *, num_training: int) -> Task:
    """The network with its loss, augmentation, optimiser, schedule and clock."""
    budget = config.train.budget
    steps = budget.steps
    if budget.epochs is not None:
        per_step = plan.batch_size * config.train.accumulate
        steps = budget.epochs * max(1, -(-num_training // per_step))
    return Task(
        network,
        _loss(config, plan),
        augment=_augmentation(config, plan),
        optimizer=_optimizer(config, network),
        schedule=build(config.schedule, "delineate.engine.optim"),
        clock=Clock(steps=steps, seconds=budget.seconds),
        seed=config.train.seed,
    )


def _batches(
    config: Config, plan: Plan, cache: Cache, cases: Sequence[str], augment: Augmentation
) -> Batches:
    """Endless batches of the cases, read as large as the augmentation needs."""
    return Batches(
        cache,
        cases,
        plan,
        seed=config.train.seed,
        batch_size=plan.batch_size,
        read_patch=_read_patch(plan, augment),
        foreground=config.train.foreground,
        workers=_workers(config),
    )


def _loss(config: Config, plan: Plan) -> WeightedSum:
    terms, weights = {}, {}
    for i, part in enumerate(config.loss):
        name = part.name.rpartition(".")[2]
        name = f"{name}_{i}" if name in terms else name
        made = build(part, "delineate.losses", overlapping=plan.labels.overlapping)
        terms[name] = as_term(made)
        weights[name] = part.weight
    return WeightedSum(terms, weights)


def _augmentation(config: Config, plan: Plan) -> Augmentation:
    seen = plan.seen_axes
    known = {
        "mirror": plan.labels.mirror,
        "mirror_axis": seen.index(plan.left_right) if plan.left_right in seen else None,
    }
    transforms = [build(part, "delineate.augment", **known) for part in config.augment]
    return Augmentation(transforms, patch=tuple(plan.patch[axis] for axis in seen))


def _read_patch(plan: Plan, augment: Augmentation) -> tuple[int, ...]:
    """What the data room reads for a patch, so that a rotation finds tissue at the corners."""
    wide = augment.read_patch(tuple(plan.spacing[axis] for axis in plan.seen_axes))
    read = list(plan.patch)
    for axis, size in zip(plan.seen_axes, wide, strict=True):
        read[axis] = size
    return tuple(read)


def _optimizer(config: Config, network: nn.Module) -> Optimizer:
    decay = config.optimizer.weight_decay
    trained = [p for p in network.parameters() if p.requires_grad]
    params = trained if decay is None else parameter_groups(network, decay)
    return build(config.optimizer, "torch.optim", params=params)


def _workers(config: Config) -> int:
    """None on a CPU, where a reader takes a core from the training; a GPU leaves its cores idle."""
    if config.train.workers != "auto":
        return config.train.workers
    if choose_device(config.train.device) == "cpu":
        return 0
    return min(8, max(1, (os.cpu_count() or 2) - 1))
