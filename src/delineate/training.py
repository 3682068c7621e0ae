"""Teach a network: the task, its batches and the loop, as config and plan ask for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import Logger
from torch import nn

from delineate.assemble import (
    assemble_augmentation,
    assemble_loss,
    assemble_optimizer,
    assemble_schedule,
)
from delineate.augment import Sequence as Augmentation
from delineate.beginning import start_network
from delineate.config import Budget, Config
from delineate.cores import usable_cores
from delineate.data import Cache
from delineate.data.batches import Batches
from delineate.data.distances import make_distances
from delineate.datasets import Split
from delineate.engine.callbacks import (
    VALIDATION_SHARE,
    Chance,
    Figures,
    Progress,
    Score,
    Validation,
)
from delineate.engine.clock import Clock
from delineate.engine.collapse import CollapseWarning
from delineate.engine.environment import describe_environment
from delineate.engine.fit import fit
from delineate.engine.freeze import Freeze
from delineate.engine.hardware import choose_compile, choose_device, choose_precision
from delineate.engine.interrupt import Stop
from delineate.engine.memory_use import MEMORY_COLUMNS
from delineate.engine.panels import Panels
from delineate.engine.plateau import AdaptiveLength
from delineate.engine.recovery import Divergence
from delineate.engine.rehearsal import rehearse
from delineate.engine.resume import Saving, State, States
from delineate.engine.schedules import Watcher
from delineate.engine.task import Task
from delineate.engine.validation import Scorer
from delineate.engine.weights import load_weights
from delineate.groundwork import Bars
from delineate.plan import Plan
from delineate.run_folder import RunFolder
from delineate.tracking.csv_table import CsvTable
from delineate.tracking.json_lines import JsonLines
from delineate.tracking.tracker import Tracker

__all__ = ["Addition", "Additions", "Lesson", "make_batches", "make_task", "teach"]

PICTURED = 4
"""Held-out cases that are drawn at each validation."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A training before its first step: what can be added to it builds on this."""

    task: Task
    config: Config
    plan: Plan
    cache: Cache
    split: Split
    run: RunFolder
    states: States
    """What is saved here now is gone on from."""

    @property
    def steps_per_epoch(self) -> float:
        """Optimiser steps in which every case is seen once."""
        return _per_epoch(self.config, self.plan, len(self.split.training))


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What a system adds to the loop."""

    scorer: Score | None = None
    """In place of ours; its `val_dice` picks the best weights."""
    figures: Sequence[str] = ()
    """What it gives besides ours: columns of metrics.csv."""
    watchers: Sequence[Watcher] = ()
    """Told the figures of each validation, after the best weights are saved."""
    callbacks: Sequence[Callback] = ()
    """Told of every step, before its state is saved."""


Addition = Callable[[Lesson], Additions]
"""Asked once, when the task is made and nothing has been put back yet."""


def teach(
    network: nn.Module,
    config: Config,
    plan: Plan,
    cache: Cache,
    split: Split,
    *,
    run: RunFolder,
    trackers: Sequence[Logger] = (),
    bars: Bars,
    add: Addition | None = None,
) -> None:
    """Train the network, or go on with it; its best weights are saved, and loaded at the end."""
    device = choose_device(config.train.device)
    precision = choose_precision(config.train.precision, device)
    run.write_json("environment.json", describe_environment(device, precision))
    _introduce(trackers, config, run)
    task = make_task(network, config, plan, num_cases=len(split.training), device=device)
    states, stop = States(run.states), Stop()
    lesson = Lesson(task, config, plan, cache, split, run, states)
    added = Additions() if add is None else add(lesson)
    begin = states.newest()
    if begin is None:
        start_network(network, config, plan, run=run)
    learned = [case.id for case in split.training]
    if task.loss.needs_distance:
        cache = make_distances(cache, plan, learned, progress=bars.track)
    batches = make_batches(config, plan, cache, learned, task, begin=begin)
    rehearse(task, next(iter(replace(batches, workers=0))))
    validation = _validation(lesson, added, stop=stop, trackers=trackers)
    every = config.train.checkpoint
    steps = _steps(every, lesson.steps_per_epoch)
    saving = Saving(states, stop, begin=begin, seconds=every.seconds, steps=steps)
    callbacks: list[Callback] = [
        Progress(bars.training),
        validation,
        Figures(),
        Chance(),
        task.memory,
        Freeze(config.start.freeze),
        Divergence(validation.averages),
        *added.callbacks,
        saving,
    ]
    with stop.explaining():
        fit(
            task,
            batches,
            device=device,
            precision=precision,
            callbacks=callbacks,
            loggers=[*_tables(run, [*_columns(plan, task), *added.figures]), *trackers],
            clip=config.train.clip,
            accumulate=config.train.accumulate,
        )
    load_weights(network, run.weights)


def make_task(
    network: nn.Module, config: Config, plan: Plan, *, num_cases: int, device: str
) -> Task:
    """The network with its loss, augmentation, optimiser, schedule and clock."""
    budget = config.train.budget
    steps = _steps(budget, _per_epoch(config, plan, num_cases))
    reserve = _validation_seconds(config) or 0.0
    # Whether the minute or two that torch.compile takes can be won back.
    long = (budget.seconds or 0) >= 20 * 60 or (steps or 0) >= 5000
    return Task(
        network,
        assemble_loss(config, plan),
        augment=assemble_augmentation(config, plan),
        optimizer=assemble_optimizer(config, network),
        schedule=assemble_schedule(config, steps=steps),
        clock=Clock(steps=steps, seconds=budget.seconds, reserve=reserve),
        seed=config.train.seed,
        compiled=choose_compile(config.train.compile, device, long=long),
    )


def make_batches(
    config: Config,
    plan: Plan,
    cache: Cache,
    cases: Sequence[str],
    task: Task,
    *,
    begin: State | None = None,
) -> Batches:
    """Endless batches of the cases, read as large as the augmentation needs."""
    return Batches(
        cache,
        cases,
        plan,
        seed=config.train.seed,
        batch_size=plan.batch_size,
        read_patch=_read_patch(plan, task.augment),
        foreground=config.train.foreground,
        rare=config.train.rare,
        distance=task.loss.needs_distance,
        workers=_workers(config),
        start_step=0 if begin is None else begin.step * config.train.accumulate,
    )


def _scorer(config: Config, plan: Plan, cache: Cache, split: Split, *, panels: Panels) -> Scorer:
    """Scores all held-out cases, or those that a budget in seconds leaves time for."""
    return Scorer(
        cache,
        [case.id for case in split.validation],
        plan,
        device=choose_device(config.train.device),
        overlap=config.predict.overlap,
        seconds=_validation_seconds(config),
        show=panels.take,
    )


def _validation(
    lesson: Lesson, added: Additions, *, stop: Stop, trackers: Sequence[Logger]
) -> Validation:
    """Keeps the best weights, with the names of their channels and classes beside them."""
    config, plan, run, clock = lesson.config, lesson.plan, lesson.run, lesson.task.clock
    panels = _panels(lesson.cache, plan, lesson.split, clock, run=run, trackers=trackers)
    return Validation(
        added.scorer or _scorer(config, plan, lesson.cache, lesson.split, panels=panels),
        keep=run.weights,
        facts={"channels": list(plan.channels), "labels": plan.labels.to_json()},
        times=config.train.validations,
        average=config.train.ema,
        stop=stop,
        watchers=[panels, *_watchers(config, clock), *added.watchers],
    )


def _watchers(config: Config, clock: Clock) -> list[Watcher]:
    """Who acts on the figures of each validation."""
    watchers: list[Watcher] = [CollapseWarning()]
    if config.train.patience is not None:
        patience, then = config.train.patience, config.train.on_plateau
        watchers.append(AdaptiveLength(clock, patience=patience, on_plateau=then))
    return watchers


def _panels(
    cache: Cache,
    plan: Plan,
    split: Split,
    clock: Clock,
    *,
    run: RunFolder,
    trackers: Sequence[Logger],
) -> Panels:
    """Pictures of a few held-out cases, in the folder of the run and for trackers of ours."""
    shown = [case.id for case in split.validation[:PICTURED]]
    ours = [tracker for tracker in trackers if isinstance(tracker, Tracker)]
    return Panels(cache, plan, shown, folder=run.panels, trackers=ours, clock=clock)


def _introduce(trackers: Sequence[Logger], config: Config, run: RunFolder) -> None:
    """Tell every tracker the configuration, and those of ours the plan as well."""
    for tracker in trackers:
        tracker.log_hyperparams(config.model_dump(mode="json"))
        if isinstance(tracker, Tracker):
            tracker.log_file(run.config)
            tracker.log_file(run.plan)


def _tables(run: RunFolder, columns: Sequence[str]) -> list[Logger]:
    """The figures in the folder of the run: a table with a column for each, and lines of JSON."""
    return [CsvTable(run.metrics, columns), JsonLines(run.lines)]


def _columns(plan: Plan, task: Task) -> list[str]:
    """What metrics.csv has a column for besides the step."""
    terms = [f"loss/{name}" for name in task.loss.terms]
    dice = [f"val_dice/{name}" for name in plan.labels.names]
    return ["progress", "seconds", "lr", "loss", *terms, "val_dice", *dice, *MEMORY_COLUMNS]


def _validation_seconds(config: Config) -> float | None:
    seconds = config.train.budget.seconds
    return None if seconds is None else VALIDATION_SHARE * seconds / config.train.validations


def _per_epoch(config: Config, plan: Plan, num_cases: int) -> float:
    """Optimiser steps in which every case is seen once."""
    return num_cases / (plan.batch_size * config.train.accumulate)


def _steps(budget: Budget, per_epoch: float) -> int | None:
    """Optimiser steps; the last of them may begin another epoch, since batches do not end."""
    if budget.epochs is None:
        return budget.steps
    return max(1, ceil(budget.epochs * per_epoch))


def _read_patch(plan: Plan, augment: Augmentation) -> tuple[int, ...]:
    """What the data room reads for a patch, so that a rotation finds tissue at the corners."""
    wide = augment.read_patch(tuple(plan.spacing[axis] for axis in plan.seen_axes))
    read = list(plan.patch)
    for axis, size in zip(plan.seen_axes, wide, strict=True):
        read[axis] = size
    return tuple(read)


def _workers(config: Config) -> int:
    """None on a CPU, where a reader takes a core from the training; a GPU leaves its cores idle."""
    if config.train.workers != "auto":
        return config.train.workers
    if choose_device(config.train.device) == "cpu":
        return 0
    return min(8, max(1, usable_cores() - 1))
