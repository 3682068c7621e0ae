"""What one model says of one prepared scan, before anything is done to the mask."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from delineate.data import Prepared
from delineate.errors import ConfigError
from delineate.inference.ensemble import Ensemble
from delineate.inference.maps import Maps
from delineate.inference.model import Model
from delineate.inference.probabilities import KeptScores, Probabilities, Scale
from delineate.inference.sliding import Network, Windows
from delineate.inference.staple import combine_masks
from delineate.inference.stream import Slab, predict_mask
from delineate.inference.uncertainty import Uncertainty, vote_entropy
from delineate.labels import Labels
from delineate.plan import Plan

__all__ = [
    "NOTHING",
    "Answer",
    "Asking",
    "Extras",
    "ask",
    "refuse_probabilities",
    "tally",
    "windows_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What is wanted beside the mask."""

    probabilities: bool = False
    """Of every class at every voxel."""
    uncertainty: bool = False
    """Entropy, and disagreement between the members of an ensemble."""
    scratch: Path | None = None
    """On which disk scores are kept meanwhile; None takes the system's place for such files."""


NOTHING = Extras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a model is asked."""

    memory_gb: float | None = None
    """What the process may hold at its peak, and what it may take of the card; None is most of
    what is free."""
    device: torch.device | str = "cpu"
    extras: Extras = NOTHING
    axis: int = 0
    """Along which probabilities will be read: the slowest one in the scan's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """On the canonical grid of the scan."""

    mask: np.ndarray
    """Channel indices (*s), or layers (k, *s) where classes overlap."""
    probabilities: Probabilities | None = None
    uncertainty: Uncertainty | None = None


def windows_of(plan: Plan, *, overlap: float = 0.5, flips: tuple[int, ...] = ()) -> Windows:
    """The cut that a plan asks for; `flips` are the axes along which mirror images are averaged."""
    return Windows(
        patch=plan.patch,
        overlap=overlap,
        batch=plan.batch_size,
        slice_axis=plan.slice_axis,
        flips=flips,
        mirror=plan.labels.mirror,
        mirror_axis=plan.left_right,
    )


def ask(model: Model, prepared: Prepared, asking: Asking) -> Answer:
    """The mask of a model whose networks are on the device and in evaluation mode."""
    if model.combine in ("vote", "staple") and len(model.networks) > 1:
        refuse_probabilities(model.combine, asking)
        masks = [_ask_one(model, network, prepared, asking) for network in model.networks]
        return tally(masks, model.labels, asking, how=model.combine)
    labels = model.labels
    network, scale = _as_one(model, asking)
    differ = isinstance(network, Ensemble) and network.disagreement
    kept, maps = _watchers(labels, prepared, asking, scale=scale, differ=differ)
    mask = predict_mask(
        network,
        prepared,
        _windows(model, with_disagreement=differ),
        channels=labels.channels + differ,
        threshold=_threshold(scale) if labels.overlapping else None,
        device=asking.device,
        memory_gb=_left(asking.memory_gb, maps),
        watch=_all_of([w.see for w in (kept, maps) if w is not None]),
    )
    return Answer(
        mask=mask[: labels.channels] if labels.overlapping else mask,
        probabilities=kept,
        uncertainty=None if maps is None else maps.finish(),
    )


def tally(
    masks: list[np.ndarray], labels: Labels, asking: Asking, *, how: Literal["vote", "staple"]
) -> Answer:
    """One answer from whole masks, channel indices or layers, by a vote or STAPLE."""
    mask = combine_masks(masks, how=how, overlapping=labels.overlapping)
    if not asking.extras.uncertainty:
        return Answer(mask=mask)
    if labels.overlapping:
        layers = range(labels.channels)
        doubt = np.max([vote_entropy([m[i] for m in masks], choices=2) for i in layers], axis=0)
    else:
        doubt = vote_entropy(masks, choices=labels.channels)
    # A mask has no doubts of its own: all that there is lies between the voters.
    return Answer(mask=mask, uncertainty=Uncertainty(entropy=doubt, disagreement=doubt))


def refuse_probabilities(how: str, asking: Asking) -> None:
    """Votes have none: a ConfigError where they are asked for."""
    if asking.extras.probabilities:
        raise ConfigError(
            f"probabilities: members combined by '{how}' give masks only. "
            "Fix: combine them by 'probabilities' or 'logits', or ask for the uncertainty."
        )


def _watchers(
    labels: Labels, prepared: Prepared, asking: Asking, *, scale: Scale, differ: bool
) -> tuple[KeptScores | None, Maps | None]:
    """Who must see the scores for what is wanted beside the mask."""
    kept = maps = None
    if asking.extras.probabilities:
        kept = KeptScores(
            prepared,
            labels.channels,
            axis=asking.axis,
            scale=scale,
            overlapping=labels.overlapping,
            folder=asking.extras.scratch,
        )
    if asking.extras.uncertainty:
        maps = Maps(
            prepared,
            labels.channels,
            scale=scale,
            overlapping=labels.overlapping,
            members_differ=differ,
        )
    return kept, maps


def _ask_one(
    model: Model, network: torch.nn.Module, prepared: Prepared, asking: Asking
) -> np.ndarray:
    return predict_mask(
        network,
        prepared,
        _windows(model, with_disagreement=False),
        channels=model.labels.channels,
        threshold=0.0 if model.labels.overlapping else None,
        device=asking.device,
        memory_gb=asking.memory_gb,
    )


def _as_one(model: Model, asking: Asking) -> tuple[Network, Scale]:
    """All networks as one, and whether it puts out logits or probabilities."""
    if len(model.networks) == 1:
        return model.networks[0], "logits"
    assert model.combine in ("probabilities", "logits"), "votes are asked one by one"
    ensemble = Ensemble(
        model.networks,
        combine=model.combine,
        overlapping=model.labels.overlapping,
        disagreement=asking.extras.uncertainty and model.combine == "probabilities",
    )
    return ensemble.eval(), model.combine


def _windows(model: Model, *, with_disagreement: bool) -> Windows:
    windows = windows_of(model.plan, overlap=model.overlap, flips=model.flips)
    if with_disagreement and windows.mirror:
        # Left and right change places, the disagreement stays.
        return replace(windows, mirror=(*windows.mirror, len(windows.mirror)))
    return windows


def _threshold(scale: Scale) -> float:
    return 0.0 if scale == "logits" else 0.5


def _left(memory_gb: float | None, maps: Maps | None) -> float | None:
    """The budget without what the maps will take."""
    if memory_gb is None or maps is None:
        return memory_gb
    return memory_gb - maps.nbytes / 1e9


def _all_of(watchers: list[Callable[[Slab], None]]) -> Callable[[Slab], None] | None:
    if not watchers:
        return None

    def watch(slab: Slab) -> None:
        for see in watchers:
            see(slab)

    return watch
