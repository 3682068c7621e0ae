"""The mask of one scan on the scan's own grid: read, preprocess, predict by windows, go back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from delineate.data import preprocess, read_case
from delineate.datasets import Case
from delineate.inference.answer import NOTHING, Asking, Extras, ask
from delineate.inference.cascade import Cascade
from delineate.inference.cascade_run import run_cascade
from delineate.inference.committee import ask_committee
from delineate.inference.model import Committee, Model
from delineate.inference.postprocess import apply_steps, check_steps
from delineate.inference.probabilities import Probabilities
from delineate.inference.uncertainty import Uncertainty
from delineate.io import Volume
from delineate.io.blocks import block_axis

__all__ = ["Prediction", "Predictor", "predict_case", "predict_volume"]

Predictor = Model | Committee | Cascade
"""Whatever makes a mask of a scan: it has `labels`, `channels` and `to(device)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What is said of one scan, on its own grid and in canonical axes.

    `write_mask(path, mask.array, mask)` puts the mask into the axes of the scan's file.
    """

    mask: Volume
    """(1, *s) ids, or (k, *s) 0/1 where classes overlap; after post-processing."""
    warnings: tuple[str, ...] = ()
    """How the scan leaves the domain of the training scans."""
    probabilities: Probabilities | None = None
    """Before post-processing; only where they are asked for."""
    uncertainty: Uncertainty | None = None
    """Only where it is asked for."""


def predict_case(
    model: Predictor,
    paths: Sequence[str | Path],
    *,
    memory_gb: float | None = None,
    device: torch.device | str = "cpu",
    extras: Extras = NOTHING,
) -> Prediction:
    """Predict one scan: a file for each channel, or one that holds all.

    The networks are moved to `device` and put in evaluation mode.

    Args:
        model: What predicts.
        paths: As `find_scans` gives them.
        memory_gb: What the process may hold while windows are predicted, and what it may take of
            the card; a budget that cannot be kept is a DataError. None is most of what is free.
        device: Where windows are predicted.
        extras: What is wanted beside the mask.
    """
    case = Case(id=str(paths[0]), images=tuple(str(path) for path in paths))
    return predict_volume(model, read_case(case), memory_gb=memory_gb, device=device, extras=extras)


def predict_volume(
    model: Predictor,
    volume: Volume,
    *,
    memory_gb: float | None = None,
    device: torch.device | str = "cpu",
    extras: Extras = NOTHING,
) -> Prediction:
    """Predict a scan that is in memory, all its channels in one volume; see `predict_case`."""
    model.to(device)
    if isinstance(model, Cascade):
        ask_stage = partial(predict_volume, memory_gb=memory_gb, device=device)
        found, warnings = run_cascade(
            model, volume, ask_stage, extras=extras, memory_gb=memory_gb, device=device
        )
        return Prediction(mask=found, warnings=warnings)
    labels, spacing = model.labels, volume.spacing
    check_steps(model.steps, labels)
    asking = Asking(memory_gb=memory_gb, device=device, extras=extras, axis=block_axis(volume))
    # Without its voxels, which are let go of before the windows are predicted.
    grid = replace(volume, array=np.broadcast_to(np.uint8(0), (1, *volume.shape)))
    if isinstance(model, Committee):
        warnings = _warnings(model, volume)
        answer = ask_committee(model, volume, asking)
    else:
        prepared = preprocess(volume, model.plan)
        warnings = model.domain.warnings(volume) if model.domain is not None else ()
        del volume
        answer = ask(model, prepared, asking)
    mask = apply_steps(labels.decode(answer.mask), model.steps, labels, spacing)
    return Prediction(
        mask=replace(grid, array=mask if labels.overlapping else mask[None]),
        warnings=warnings,
        probabilities=answer.probabilities,
        uncertainty=answer.uncertainty,
    )


def _warnings(committee: Committee, volume: Volume) -> tuple[str, ...]:
    """Of all its models, each once."""
    domains = [model.domain for model in committee.models if model.domain is not None]
    return tuple(dict.fromkeys(text for domain in domains for text in domain.warnings(volume)))
