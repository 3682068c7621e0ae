"""CutMix by structure: classes of another sample in their own shapes, the rare ones more often.

After Yun et al. (ICCV 2019). We differ: what is cut out is no box but a class, one voxel within its
outline, so that what is pasted is that structure and nothing around it.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from delineate.augment.classes import channels_of, count_voxels, show
from delineate.augment.limits import check_number, check_probability
from delineate.augment.paste import Sample, paste
from delineate.augment.transform import Draw, Draws, Frame, draw_seed
from delineate.contracts import Batch
from delineate.labels import Labels

__all__ = ["StructureMix"]


class StructureMix:
    """Paste structures of another sample of the batch, each with its own chance, in their place.

    At least one is pasted: where chance leaves none, one is drawn, as likely as its priority.
    A structure loses one voxel all around, or is taken whole where nothing would be left; an edge
    of the patch is no outline. Larger structures are pasted first, so small ones stay seen. A
    sample depends on (seed, step, slot) and on its donor; the background is no structure.

    Args:
        priorities: from 0 to 1 by class name or channel, a union standing for its members; None
            goes by rarity: a class of n voxels in the donor has the root of m / n, the rarest one
            having m.
        rest: the priority of classes that `priorities` does not name.
        chance: of pasting a structure of priority 1; others have it times their priority.
        probability: of pasting into a sample at all.
        labels: what gives channels their names and stands behind the columns of presence.
    """

    def __init__(
        self,
        *,
        priorities: Mapping[str | int, float] | None = None,
        rest: float = 0.5,
        chance: float = 0.5,
        probability: float = 0.2,
        labels: Labels | None = None,
    ) -> None:
        for name, priority in (priorities or {}).items():
            check_number(self, f"the priority of {name}", priority, low=0, high=1)
        check_number(self, "rest", rest, low=0, high=1)
        check_number(self, "chance", chance, low=0, high=1)
        check_probability(self, probability)
        self.priorities: dict[int, float] | None = None
        if priorities is not None:
            channels = {name: channels_of(self, [name], labels) for name in priorities}
            # The narrowest name comes last and wins.
            order = sorted(priorities, key=lambda name: -len(channels[name]))
            self.priorities = {c: float(priorities[n]) for n in order for c in channels[n]}
        self.rest = rest
        self.chance = chance
        self.probability = probability
        self.labels = labels

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """A number from 0 to 1 that chooses the donor, and the seed of one such a class."""
        if rng.random() >= self.probability:
            return None
        return {"donor": float(rng.random()), "seed": draw_seed(rng)}

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with structures pasted."""
        return paste(batch, draws, self._merge, part=self, labels=self.labels)

    def _merge(self, own: Sample, donor: Sample, draw: Draw) -> Sample | None:
        dims = len(own.spacing)
        counts = count_voxels(donor.mask, dims).tolist()
        if donor.mask.dim() == dims:
            counts[:1] = [0] * len(counts[:1])
        rarest = min((n for n in counts if n), default=0)
        priorities = np.array(
            [self._priority(c, rarest / n) if n else 0 for c, n in enumerate(counts)]
        )
        if not priorities.any():
            return None
        rng = np.random.Generator(np.random.Philox(key=draw["seed"]))
        chosen = np.flatnonzero(rng.random(len(counts)) < self.chance * priorities).tolist()
        if not chosen:
            chosen = [int(rng.choice(len(counts), p=priorities / priorities.sum()))]
        image, mask = own.image.clone(), own.mask.clone()
        for channel in sorted(chosen, key=lambda c: -counts[c]):
            region = _within(show(donor.mask, channel, dims))
            image = torch.where(region, donor.image, image)
            mask = torch.where(region, donor.mask, mask)
        return replace(own, image=image, mask=mask)

    def _priority(self, channel: int, rarity: float) -> float:
        if self.priorities is None:
            return rarity**0.5
        return self.priorities.get(channel, self.rest)


def _within(shape: Bool[Tensor, "*s"]) -> Bool[Tensor, "*s"]:
    """The voxels whose neighbours along the axes are in the shape too; all if there are none."""
    inner = shape.clone()
    for axis, length in enumerate(shape.shape):
        rest = length - 1
        inner.narrow(axis, 0, rest).logical_and_(shape.narrow(axis, 1, rest))
        inner.narrow(axis, 1, rest).logical_and_(shape.narrow(axis, 0, rest))
    return inner if inner.any() else shape
