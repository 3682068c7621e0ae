"""Run a task on a Lightning Trainer until its clock says that the budget is used up."""

import logging
import warnings
from collections.abc import Iterable, Sequence

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers.logger import Logger

from delineate.contracts import Batch
from delineate.engine.hardware import Precision, lightning_precision
from delineate.engine.task import Task
from delineate.inference.allocator import TRAINED, freed_memory_kept

__all__ = ["fit"]


def fit(
    task: Task,
    batches: Iterable[Batch],
    *,
    device: str,
    precision: Precision,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    clip: float | None,
    accumulate: int,
) -> None:
    """Train `task` on `batches`, which may be endless: the clock of the task ends the training."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
    trainer = Trainer(
        accelerator="gpu" if device == "cuda" else device,
        devices=1,
        # One process, whatever a cluster says: Lightning would save and requeue in its own way.
        plugins=[LightningEnvironment()],
        precision=lightning_precision(precision),  # type: ignore[arg-type] # a plain str there
        max_epochs=1,
        callbacks=list(callbacks),
        logger=list(loggers),
        gradient_clip_val=clip,
        accumulate_grad_batches=accumulate,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with freed_memory_kept(below=TRAINED), warnings.catch_warnings():
        # Lightning advises more loader workers whatever the loader does; ours are planned.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # It looks for SLURM all the same, and wants srun before every command where that is.
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        try:
            trainer.fit(task, batches)  # type: ignore[arg-type] # any iterable is a loader
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
