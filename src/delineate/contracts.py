"""The tensors that pass between rooms: Batch to the network, Output from it, Target beside it.

Axes: b batch, c channels, k classes, s space (array axes i, j[, k] in RAS+).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Batch", "Loss", "Output", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a batch is compared with."""

    mask: Int[Tensor, "b *s"] | Float[Tensor, "b k *s"] | None
    """(b, *s) channel indices, -1 where ignored; or (b, k, *s) 0/1; None for image-level tasks."""
    presence: Tensor | None = None
    """(b, k) 0/1, or (b,) class ids of an image-level task."""
    distance: Float[Tensor, "b k *s"] | None = None
    """Signed distance to each class in mm, negative inside; made only where a loss asks for it."""

    def to(self, device: torch.device | str) -> "Target":
        """The same target on another device."""
        return Target(
            mask=_move(self.mask, device),
            presence=_move(self.presence, device),
            distance=_move(self.distance, device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some patches of some cases: what the data room hands to the engine."""

    image: Float[Tensor, "b c *s"]
    target: Target
    spacing: tuple[float, ...]
    """mm along each spatial axis, the same for the whole batch."""
    cases: tuple[str, ...]
    step: int
    """The optimiser step that this batch belongs to; with the seed it fixes every random draw."""
    place: Float[Tensor, "b d 2"] | None = None
    """Where each image begins and ends along each axis, as a share of its case; None if unknown."""

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        image = self.image.to(device, non_blocking=True)
        place = _move(self.place, device)
        return replace(self, image=image, target=self.target.to(device), place=place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What every architecture returns."""

    logits: Float[Tensor, "b k *s"] | None
    """At the input's resolution."""
    deep: tuple[Tensor, ...] = ()
    """Coarser logits for deep supervision, finest first."""
    presence: Float[Tensor, "b n"] | None = None
    """Image-level logits, one per structure or class of images."""
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """By name, for a loss term of one architecture."""


Loss = Callable[[Output, Target], dict[str, Tensor]]
"""Named scalar terms; their sum is what is trained."""


def _move(tensor: Tensor | None, device: torch.device | str) -> Tensor | None:
    return None if tensor is None else tensor.to(device, non_blocking=True)
