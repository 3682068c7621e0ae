"""Mirror images, exact to the voxel, with left and right labels swapped."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from delineate.augment.classes import mirror_of_presence
from delineate.augment.limits import check_probability
from delineate.augment.transform import Draw, Draws, Frame
from delineate.contracts import Batch, Target
from delineate.labels import Labels

__all__ = ["Flip"]


class Flip:
    """Reverse axes; across the left-right axis paired labels change places.

    Args:
        axes: which may be reversed; None means all, "left_right" only `mirror_axis`.
        probability: of reversing, for each axis by itself.
        mirror: where each channel comes from after a left-right mirror (`Labels.mirror`); None if
            no label has a side.
        mirror_axis: the left-right axis; None if the samples do not show it.
        labels: what stands behind the columns of presence, unions among them; None if each column
            is a channel.
    """

    def __init__(
        self,
        *,
        axes: Sequence[int] | Literal["left_right"] | None = None,
        probability: float = 0.5,
        mirror: Sequence[int] | None = None,
        mirror_axis: int | None = 0,
        labels: Labels | None = None,
    ) -> None:
        check_probability(self, probability)
        self.axes = axes
        self.probability = probability
        self.mirror_axis = mirror_axis
        sided = mirror is not None and list(mirror) != list(range(len(mirror)))
        self.mirror = tuple(mirror) if mirror is not None and sided else None
        self.columns = None if labels is None else mirror_of_presence(labels)

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """The axes to reverse."""
        axes = self._axes(len(frame.patch))
        chances = rng.random(len(axes))
        drawn = [a for a, chance in zip(axes, chances, strict=True) if chance < self.probability]
        return {"axes": drawn} if drawn else None

    def _axes(self, dims: int) -> Sequence[int]:
        if self.axes is None:
            return range(dims)
        if isinstance(self.axes, str):
            return [] if self.mirror_axis is None else [self.mirror_axis]
        wrong = [a for a in self.axes if not 0 <= a < dims]
        if wrong:
            raise ValueError(
                f"Flip: the patch has no axis {wrong[0]}. Fix: axes count from 0 to {dims - 1}."
            )
        return self.axes

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with some samples reversed."""
        if not any(draws):
            return batch
        target = batch.target
        turns = [() if draw is None else tuple(draw["axes"]) for draw in draws]
        swaps = [self.mirror_axis in axes and self.mirror is not None for axes in turns]
        dims = len(batch.spacing)
        return replace(
            batch,
            image=_reverse(batch.image, turns, dims),
            target=Target(
                mask=self._swap(_reverse(target.mask, turns, dims), swaps, dims),
                presence=self._swap_presence(target.presence, swaps, dims),
                distance=self._swap(_reverse(target.distance, turns, dims), swaps, dims),
            ),
        )

    def _swap(self, tensor: Tensor | None, swaps: list[bool], dims: int) -> Tensor | None:
        """Exchange left and right in some samples; class ids of whole images have no sides."""
        if tensor is None or self.mirror is None or not any(swaps) or tensor.dim() == 1:
            return tensor
        order = torch.tensor(self.mirror, device=tensor.device)
        # One entry more: the ignore index -1 looks up the last, itself.
        table = torch.cat((order, order.new_tensor([-1]))).to(tensor.dtype)
        has_channels = tensor.dim() in (2, dims + 2)
        return torch.stack(
            [
                sample
                if not swap
                else sample[self._channels(order, len(sample))]
                if has_channels
                else table[sample.long()]
                for sample, swap in zip(tensor, swaps, strict=True)
            ]
        )

    def _swap_presence(
        self, presence: Tensor | None, swaps: list[bool], dims: int
    ) -> Tensor | None:
        """By class where the labels say which, else by channel."""
        columns = self.columns
        if presence is None or columns is None or presence.shape[1:] != (len(columns),):
            return self._swap(presence, swaps, dims)
        same = range(len(columns))
        order = [columns if swap else same for swap in swaps]
        return presence.gather(1, torch.tensor(order, device=presence.device))

    def _channels(self, order: Tensor, count: int) -> Tensor:
        """The order of this many channels; the background may be left out."""
        skipped = len(order) - count
        if skipped not in (0, 1):
            raise ValueError(
                f"Flip: the mirror names {len(order)} channels but the target has {count}. "
                "Fix: Flip(mirror=labels.mirror) with the data's own labels."
            )
        return order[skipped:] - skipped


def _reverse(tensor: Tensor | None, turns: list[tuple[int, ...]], dims: int) -> Tensor | None:
    """Each sample with its axes reversed."""
    if tensor is None:
        return None
    return torch.stack(
        [s.flip([a - dims for a in axes]) for s, axes in zip(tensor, turns, strict=True)]
    )
