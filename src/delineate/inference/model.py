"""What predicts: trained networks with all that is needed to turn a scan into a mask."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from delineate.inference.domain import Domain
from delineate.inference.postprocess import Step
from delineate.labels import Labels
from delineate.plan import Plan

__all__ = ["Combine", "Committee", "Model"]

Combine = Literal["probabilities", "logits", "vote", "staple"]
"""How several networks become one mask: by the mean of their probabilities or of their logits,
window by window, or by a vote or STAPLE over their whole masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Networks of one plan, and how they are asked. Nothing here is bound to a folder."""

    networks: tuple[nn.Module, ...]
    """At least one: a training's, or those of its folds; each puts out logits."""
    plan: Plan
    overlap: float = 0.5
    """At least this share of a window is covered by its neighbour along each axis."""
    flips: tuple[int, ...] = ()
    """Spatial axes along which mirror images are averaged."""
    combine: Combine = "probabilities"
    """Of no consequence for one network, whose logits are taken as they are."""
    steps: tuple[Step, ...] = ()
    """Done to each mask on the scan's own grid, in this order."""
    domain: Domain | None = None
    """What the training scans looked like; None where that is not known."""

    def __post_init__(self) -> None:
        if not self.networks:
            raise ValueError("a model needs at least one network")

    @property
    def labels(self) -> Labels:
        """What its masks mean."""
        return self.plan.labels

    @property
    def channels(self) -> tuple[str, ...]:
        """The images that it needs of each scan, in this order."""
        return self.plan.channels

    @property
    def dims(self) -> int:
        """3 for volumes, 2 for pictures."""
        return len(self.plan.patch)

    def to(self, device: torch.device | str) -> "Model":
        """The same model, its networks moved to `device` and put in evaluation mode."""
        for network in self.networks:
            network.to(device).eval()
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Committee:
    """Models of different plans (spacing, patch, network) that are asked for the same mask.

    Their answers meet on the scan's own grid. The models' own post-processing is left out: only
    the committee's is done.
    """

    models: tuple[Model, ...]
    """At least one, all with the same labels and channels."""
    combine: Literal["probabilities", "vote", "staple"] = "probabilities"
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("a committee needs at least one model")
        first = self.models[0]
        for other in self.models[1:]:
            for what in ("labels", "channels", "dims"):
                if getattr(other, what) != getattr(first, what):
                    raise ValueError(
                        f"the models of a committee must have the same {what}, but there are "
                        f"{_tell(getattr(first, what))} and {_tell(getattr(other, what))}"
                    )

    @property
    def labels(self) -> Labels:
        """What its masks mean."""
        return self.models[0].labels

    @property
    def channels(self) -> tuple[str, ...]:
        """The images that it needs of each scan, in this order."""
        return self.models[0].channels

    @property
    def dims(self) -> int:
        """3 for volumes, 2 for pictures."""
        return self.models[0].dims

    def to(self, device: torch.device | str) -> "Committee":
        """The same committee, its networks moved to `device` and put in evaluation mode."""
        for model in self.models:
            model.to(device)
        return self


def _tell(value: Labels | tuple[str, ...] | int) -> str:
    if isinstance(value, int):
        return str(value)
    return ", ".join(value.names if isinstance(value, Labels) else value)
