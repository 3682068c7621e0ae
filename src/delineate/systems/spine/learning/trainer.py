"""The documented training: from an experiment to its best checkpoint, and what that is worth."""

import logging
import sys
from collections.abc import Sized
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

from delineate.engine.devices import choose_devices
from delineate.engine.manners import hushed, plain_mistakes, quiet
from delineate.errors import ConfigError
from delineate.inference.allocator import freed_memory_kept
from delineate.systems.spine.learning.callbacks import build_callbacks
from delineate.systems.spine.learning.case_tables import mean_figures, write_rows
from delineate.systems.spine.learning.checkpoint import facts_of, find_checkpoint
from delineate.systems.spine.learning.epoch_lines import EpochLines
from delineate.systems.spine.learning.kept_checkpoints import best_of
from delineate.systems.spine.learning.module import SliceModule
from delineate.systems.spine.learning.rates import check_rates
from delineate.systems.spine.learning.run_places import (
    Run,
    kept_open,
    last_checkpoint,
    make_loggers,
    open_run,
    publish,
)
from delineate.systems.spine.samples.class_weights import weights_of
from delineate.systems.spine.samples.loading import Loaders, make_loaders
from delineate.systems.spine.schema.settings import Experiment

__all__ = ["train"]

log = logging.getLogger("delineate")


def train(
    experiment: Experiment, *, dry_run: bool = False, resume: Path | Literal["last"] | None = None
) -> Path:
    """Train, then look at the validation and test slices with the best weights: their checkpoint.

    Args:
        dry_run: A single epoch, to see that all of it works.
        resume: The checkpoint that a training goes on from; "last" is that of its newest run.
    """
    if dry_run:
        experiment = _of_one_epoch(experiment)
    start = _start(experiment, resume)
    check_rates(experiment.trainer)
    seed_everything(experiment.seed, workers=True, verbose=False)
    loaders = make_loaders(experiment)
    module = _module(experiment, loaders, start)
    run = open_run(experiment, start, suffix="-dry-run" if dry_run else "")
    trainer = _trainer(experiment, loaders, run)
    _restore_loggers(trainer, start)
    if trainer.is_global_zero:
        _record(experiment, module, loaders, run, resumed=start is not None)
    with quiet(), hushed(), plain_mistakes(), freed_memory_kept(), kept_open(trainer.loggers):
        try:
            trainer.fit(module, loaders.train, loaders.val, ckpt_path=start, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        best = best_of(trainer)
        if best is None:
            raise ConfigError(
                f"{run.folder}: no checkpoint was written. Fix: save_top_k of at least 1."
            )
        _judge(trainer, module, loaders, run, best)
    if trainer.is_global_zero:
        if not dry_run:
            log.info("a copy of the best weights: %s", publish(best, experiment))
        log.info("everything else: %s", run.folder)
    return best


def _of_one_epoch(experiment: Experiment) -> Experiment:
    trainer = experiment.trainer.model_copy(update={"epochs": 1, "val_every": 1})
    return experiment.model_copy(update={"trainer": trainer})


def _start(experiment: Experiment, resume: Path | Literal["last"] | None) -> Path | None:
    """The checkpoint to go on from, looked into before anything is trained."""
    if resume == "last":
        path = last_checkpoint(experiment)
    elif resume is not None:
        path = Path(resume)
    elif experiment.model.resume_ckpt:
        path = find_checkpoint(experiment.model.resume_ckpt, experiment)
    else:
        return None
    epoch = facts_of(path).epoch
    if epoch >= experiment.trainer.epochs:
        raise ConfigError(
            f"{path}: this training is over, {epoch} of {experiment.trainer.epochs} epochs are "
            "done. Fix: more epochs, or no resume."
        )
    log.info("going on from %s, after %d epochs.", path, epoch)
    return path


def _module(experiment: Experiment, loaders: Loaders, start: Path | None) -> SliceModule:
    labels = [part.label for part in loaders.table.of("train")]
    module = SliceModule(
        experiment,
        loaders.task,
        loaders.classes,
        structure=None if start is None else facts_of(start).structure,
        class_weight=weights_of(experiment.model, loaders.task, loaders.classes, labels),
    )
    if start is None:
        module.begin()
    return module


def _trainer(experiment: Experiment, loaders: Loaders, run: Run) -> Trainer:
    asked = experiment.trainer
    callbacks = build_callbacks(
        experiment, run.folder, task=loaders.task, validated=loaders.val is not None
    )
    if not any(isinstance(c, LearningRateMonitor) for c in callbacks):
        callbacks.append(LearningRateMonitor(logging_interval="epoch"))
    callbacks.insert(0, EpochLines(run.folder / "metrics.csv", _watched(callbacks)))
    steps = len(loaders.train) if isinstance(loaders.train, Sized) else asked.log_every
    arguments: dict[str, Any] = {
        **choose_devices(asked.gpus, asked.precision),
        "max_epochs": asked.epochs,
        "callbacks": callbacks,
        "logger": make_loggers(experiment, run),
        "log_every_n_steps": max(1, min(asked.log_every, steps)),
        "check_val_every_n_epoch": asked.val_every,
        "accumulate_grad_batches": asked.accumulate_grad_batches,
        "gradient_clip_val": asked.gradient_clip_val,
        "enable_progress_bar": sys.stdout.isatty(),
        "enable_model_summary": False,
        "default_root_dir": run.folder,
        **asked.params,
    }
    with quiet("GPU available but not used"), hushed(), plain_mistakes():
        try:
            return Trainer(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"trainer: {error}") from None


def _watched(callbacks: list[Callback]) -> tuple[str, bool]:
    """The figure that the best weights are chosen by, and whether more is better."""
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor is not None:
            return callback.monitor, callback.mode == "max"
    return "val_loss", False


def _restore_loggers(trainer: Trainer, start: Path | None) -> None:
    if start is None:
        return
    for logger, state in zip(trainer.loggers, facts_of(start).loggers, strict=False):
        logger.load_state_dict(state)  # type: ignore[attr-defined]


def _record(
    experiment: Experiment, module: SliceModule, loaders: Loaders, run: Run, *, resumed: bool
) -> None:
    """config.yaml of the run, and what is going to be trained in a few lines."""
    text = yaml.safe_dump(experiment.as_plain(), sort_keys=False, allow_unicode=True)
    (run.folder / "config.yaml").write_text(text, encoding="utf-8")
    phases = {phase: len(loaders.table.of(phase)) for phase in ("train", "val", "test")}
    counts = ", ".join(f"{phase} {count}" for phase, count in phases.items())
    weights = sum(p.numel() for p in module.network.parameters())
    trained = sum(p.numel() for p in module.network.parameters() if p.requires_grad)
    frozen = f", {weights - trained:,} of them frozen" if trained < weights else ""
    log.info("%s: %s weights%s; %s", experiment.model.name, f"{weights:,}", frozen, loaders.task)
    log.info("slices: %s", counts)
    if loaders.classes:
        log.info("classes: %s", ", ".join(loaders.classes))
    log.info("%s %s", "going on in" if resumed else "writing to", run.folder)


def _judge(trainer: Trainer, module: SliceModule, loaders: Loaders, run: Run, best: Path) -> None:
    """Tables of the validation and the test slices, by the best weights."""
    for phase, loader, look in (
        ("val", loaders.val, trainer.validate),
        ("test", loaders.test, trainer.test),
    ):
        if loader is None:
            continue
        look(module, loader, ckpt_path=best, weights_only=True, verbose=False)
        if not trainer.is_global_zero:
            continue
        path = run.folder / f"{phase}_cases.csv"
        write_rows(path, module.rows)
        figures = {
            str(name).removeprefix(f"{phase}_"): float(value)
            for name, value in trainer.callback_metrics.items()
            if str(name).startswith(f"{phase}_") and "/" not in str(name)
        }
        log.info("%s: %s", phase, ", ".join(f"{n} {v:.4f}" for n, v in figures.items()))
        means = ", ".join(f"{n} {v:.4f}" for n, v in mean_figures(module.rows).items())
        log.info("%s, mean over %d slices: %s (%s)", phase, len(module.rows), means, path)
