"""What debug=True writes to the log: the first batches of each stage, as the module sees them."""

import logging

import torch
from torch import Tensor

from delineate.contracts import Output
from delineate.engine.memory_use import memory_figures
from delineate.systems.liver.labelled_batch import LabelledBatch

__all__ = ["FIRST_BATCHES", "describe_step"]

log = logging.getLogger("delineate")

FIRST_BATCHES = 3
"""Of each epoch's stage."""


def describe_step(
    stage: str, number: int, cases: LabelledBatch, output: Output, loss: float
) -> None:
    """Log shapes, types, ranges, what the network put out, the loss and the memory in use."""
    _be_heard()
    log.info("%s batch %d: cases %s", stage, number, ", ".join(cases.ids))
    log.info("  image %s, spacing %s", _describe(cases.image), cases.spacing)
    ids, counts = cases.target.unique(return_counts=True)
    voxels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    log.info("  label %s, voxels by id %s", _describe(cases.target), voxels)
    if output.logits is not None:
        log.info("  logits %s", _describe(output.logits))
    for i, logits in enumerate(output.deep, 1):
        log.info("  deep logits %d %s", i, _describe(logits))
    memory = memory_figures(cases.image.device)
    used = ", ".join(f"{name} {gb:.2f}" for name, gb in memory.items())
    log.info("  loss %.6g, peak %s", loss, used)


def _describe(tensor: Tensor) -> str:
    known = tensor.detach().float()
    bad = "" if torch.isfinite(known).all() else ", NOT FINITE"
    return (
        f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}, "
        f"{known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}{bad}"
    )


def _be_heard() -> None:
    """Whoever asks to debug wants to read it, even where nobody has set up a log."""
    if not log.isEnabledFor(logging.INFO):
        log.setLevel(logging.INFO)
    if not log.hasHandlers():
        log.addHandler(logging.StreamHandler())
