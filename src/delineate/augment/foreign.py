"""Transforms of other libraries as ours: batchgeneratorsv2, MONAI, TorchIO, albumentations.

An object tells by the modules of its classes which library it is from. Each sample goes through
alone, on the CPU, image and label together, with every generator that these libraries use seeded
from (seed, step, slot) and put back afterwards.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delineate.augment.conventions import LIBRARIES, Call, Pair, seeded
from delineate.augment.distance import remake_distances
from delineate.augment.transform import Draw, Draws, Frame, Transform, draw_seed
from delineate.contracts import Batch

__all__ = ["Foreign", "as_transform"]


def as_transform(transform: object) -> Transform:
    """Ours as it is, and one of the four libraries made to fit; anything else is a ValueError."""
    library = _library(transform)
    if library is None and isinstance(transform, Transform):
        return transform
    if library is None:
        raise ValueError(
            f"augment: {type(transform).__name__} is no transform. Fix: it needs draw(rng, frame) "
            f"and apply(batch, draws), or is of {', '.join(LIBRARIES)}."
        )
    return Foreign(transform, LIBRARIES[library](transform))


class Foreign:
    """Another library's transform: its draw is a seed, and it decides itself what to do with it.

    The patch must keep its size and labels their values. Presence stays as it is; distances are
    made anew from the patch's mask where a label moved.
    """

    def __init__(self, transform: Any, call: Call) -> None:
        self.transform = transform
        self._call = call

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """A seed."""
        return {"seed": draw_seed(rng)}

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with each drawn sample changed."""
        if not any(draws):
            return batch
        target = batch.target
        image = batch.image.clone()
        mask = None if target.mask is None else target.mask.clone()
        distance = None if target.distance is None else target.distance.clone()
        for slot, draw in enumerate(draws):
            if draw is None:
                continue
            own = None if mask is None else mask[slot]
            image[slot], new = self._change(batch, slot, own, draw["seed"])
            if mask is not None and new is not None and not torch.equal(mask[slot], new):
                mask[slot] = new
                if distance is not None:
                    distance[slot] = remake_distances(distance[slot], new, batch.spacing)
        return replace(batch, image=image, target=replace(target, mask=mask, distance=distance))

    def _change(
        self, batch: Batch, slot: int, mask: Tensor | None, seed: int
    ) -> tuple[Tensor, Tensor | None]:
        image = batch.image[slot]
        has_channels = mask is not None and mask.dim() == image.dim()
        label = mask if mask is None or has_channels else mask[None]
        pair = Pair(
            image=image.detach().cpu().clone(),
            label=None if label is None else label.cpu().to(torch.int16, copy=True),
            spacing=batch.spacing,
            seed=seed,
        )
        try:
            with seeded(seed):
                new_image, new_label = self._call(self.transform, pair)
        except Exception as error:
            name = type(self.transform).__name__
            error.add_note(f"augment: {name} met this with a patch of {batch.cases[slot]}.")
            raise
        new_image = self._checked(new_image, pair.image).to(image)
        if label is None or mask is None:
            return new_image, None
        new_label = self._whole(self._checked(new_label, label)).to(label)
        return new_image, new_label if has_channels else new_label[0]

    def _checked(self, found: Any, given: Tensor) -> Tensor:
        """A plain tensor of the size that was handed in."""
        tensor = torch.as_tensor(found).as_subclass(Tensor)
        if tensor.shape != given.shape:
            raise ValueError(
                f"augment: {type(self.transform).__name__} made {tuple(tensor.shape)} of "
                f"{tuple(given.shape)}. Fix: the network's patch has one size; crop and pad with "
                "plan.patch."
            )
        return tensor

    def _whole(self, label: Tensor) -> Tensor:
        if label.is_floating_point() and not torch.equal(label, label.round()):
            raise ValueError(
                f"augment: {type(self.transform).__name__} made fractions of the labels. "
                "Fix: let it interpolate the label by nearest neighbour."
            )
        return label


def _library(transform: object) -> str | None:
    """Where the transform, or a class that it derives from, is defined."""
    roots = (kind.__module__.partition(".")[0] for kind in type(transform).__mro__)
    return next((root for root in roots if root in LIBRARIES), None)
