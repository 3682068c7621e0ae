"""What a transform is: it draws plain numbers for one sample, and applies them as a pure function.

A draw is JSON-able and holds everything random (noise fields by their seed), so any sample can be
replayed from it. Three kinds of transform differ in what they may touch: `Geometric` moves points,
`Intensity` sees only the image, and any other `Transform` maps a whole batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Batch

__all__ = [
    "Draw",
    "Draws",
    "Frame",
    "Geometric",
    "Intensity",
    "Range",
    "Transform",
    "around_one",
    "change_images",
    "draw_seed",
]

Draw = dict[str, Any]
"""What one transform does to one sample, in plain numbers and lists."""

Draws = Sequence[Draw | None]
"""One draw a sample; None leaves the sample as it is."""

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""


def _stay(points: list[Tensor]) -> list[Tensor]:
    return points


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a draw may depend on besides chance, and geometry on besides its draw."""

    channels: int
    patch: tuple[int, ...]
    """Voxels of the patch that the network will see."""
    spacing: tuple[float, ...]
    """mm"""
    mask: Tensor | None = None
    """The sample's own mask as it was read, around the patch's centre: ids (*r) or (k, *r) 0/1.
    It is there when points are pulled, not when draws are made."""
    place: Tensor | None = None
    """(d, 2): where what was read begins and ends in its case, as shares of it; see `Batch`."""
    read: tuple[int, ...] = ()
    """Voxels that were read. It is there with the mask."""
    before: Callable[[list[Tensor]], list[Tensor]] = _stay
    """Back through the transforms that come earlier: where the mask shows what is at a point."""

    @property
    def plane(self) -> tuple[int, ...]:
        """The axes that geometry may mix.

        A 3-D patch whose spacing differs by more than a factor of 3, or that is one voxel thick, is
        a stack of slices: interpolating across them would invent anatomy, so the coarsest axis
        stays.
        """
        axes = tuple(range(len(self.patch)))
        thin = min(self.patch) == 1
        if len(axes) < 3 or not (thin or max(self.spacing) > 3 * min(self.spacing)):
            return axes
        coarse = self.patch.index(1) if thin else self.spacing.index(max(self.spacing))
        return tuple(a for a in axes if a != coarse)


@runtime_checkable
class Transform(Protocol):
    """Draws for one sample at a time; applies to a batch."""

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """What happens to one sample; None if nothing does."""
        ...

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The changed batch; the one handed in stays as it was."""
        ...


class Geometric(ABC):
    """Moves points; `Sequence` resamples once for all geometric transforms together."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """What happens to one sample; None if nothing does."""

    @abstractmethod
    def pull(self, points: list[Tensor], draw: Draw, frame: Frame) -> list[Tensor]:
        """Where the values at these points come from.

        Points are one tensor an axis, in voxels from the patch's centre, broadcastable to it.
        """

    @abstractmethod
    def growth(self, draw: Draw) -> float:
        """How many times as long things are afterwards, on average over axes."""

    @abstractmethod
    def reach(self, frame: Frame) -> tuple[float, ...]:
        """How many times the patch's size the farthest origin may lie apart, along each axis."""


class Intensity(ABC):
    """Changes the image only; its interface never sees the target."""

    probability: float

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """The values for one sample, or None."""
        return self.values(rng, frame) if rng.random() < self.probability else None

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with changed images."""
        return change_images(batch, [self], [draws])

    @abstractmethod
    def values(self, rng: np.random.Generator, frame: Frame) -> Draw:
        """The values for a sample that is changed."""

    @abstractmethod
    def change(
        self, image: Float[Tensor, "b c *s"], draws: list[Draw], spacing: tuple[float, ...]
    ) -> None:
        """Change these samples in place, each by its draw."""


def change_images(batch: Batch, transforms: Iterable[Intensity], draws: Iterable[Draws]) -> Batch:
    """Several intensity transforms over one copy of the images.

    On a CPU each sample runs through alone, because it then stays in the cache; elsewhere the drawn
    samples of a batch share one kernel. Both give the same values.
    """
    steps = [
        (transform, [(slot, d) for slot, d in enumerate(of_batch) if d is not None])
        for transform, of_batch in zip(transforms, draws, strict=True)
    ]
    if not any(drawn for _, drawn in steps):
        return batch
    image = batch.image.clone(memory_format=torch.contiguous_format)
    if image.device.type == "cpu":
        for slot in range(len(image)):
            for transform, drawn in steps:
                own = [d for s, d in drawn if s == slot]
                if own:
                    transform.change(image[slot : slot + 1], own, batch.spacing)
    else:
        for transform, drawn in steps:
            if drawn:
                slots = torch.tensor([s for s, _ in drawn], device=image.device)
                part = image[slots]
                transform.change(part, [d for _, d in drawn], batch.spacing)
                image[slots] = part
    return replace(batch, image=image)


def around_one(rng: np.random.Generator, limits: Range) -> float:
    """A factor that is equally often below and above 1, uniform on either side."""
    low, high = limits
    if low < 1 < high:
        low, high = (low, 1.0) if rng.random() < 0.5 else (1.0, high)
    return float(rng.uniform(low, high))


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of a noise field, which stands in for the field in a draw."""
    return int(rng.integers(2**31))
