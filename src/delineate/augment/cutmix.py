"""CutMix for segmentation: a box of another sample, put around a structure that is rare there.

After Yun et al. (ICCV 2019). We differ: masks are cut with the image instead of mixing labels, and
the box is not anywhere but where a drawn class is, rare classes first.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from delineate.augment.classes import count_voxels, show
from delineate.augment.limits import check_number, check_probability, check_range
from delineate.augment.paste import Sample, paste
from delineate.augment.transform import Draw, Draws, Frame, Range
from delineate.contracts import Batch
from delineate.labels import Labels

__all__ = ["CutMix"]


class CutMix:
    """Replace a box by that of another sample of the batch, in the same place, masks included.

    A sample depends on (seed, step, slot) and on its donor. Nothing happens if the donor shows no
    structure.

    Args:
        size: of the box along each axis, as a share of the patch.
        rarity: how much the box prefers what is rare: a class of n voxels in the donor is drawn in
            proportion to n to the power of minus rarity. 0 draws all its classes alike.
        probability: of pasting into a sample.
        labels: what stands behind the columns of presence; None if each is a channel.
    """

    def __init__(
        self,
        *,
        size: Range = (0.25, 0.5),
        rarity: float = 0.5,
        probability: float = 0.2,
        labels: Labels | None = None,
    ) -> None:
        check_range(self, "size", size, low=0.01, high=1)
        check_number(self, "rarity", rarity, low=0)
        check_probability(self, probability)
        self.size = size
        self.rarity = rarity
        self.probability = probability
        self.labels = labels

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """Numbers from 0 to 1 that choose donor, class and voxel, and the box around the voxel."""
        if rng.random() >= self.probability:
            return None
        dims = len(frame.patch)
        donor, kind, voxel = rng.random(3).tolist()
        return {
            "donor": donor,
            "class": kind,
            "voxel": voxel,
            "size": rng.uniform(*self.size, dims).tolist(),
            "before": rng.random(dims).tolist(),
        }

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with boxes pasted."""
        return paste(batch, draws, self._merge, part=self, labels=self.labels)

    def _merge(self, own: Sample, donor: Sample, draw: Draw) -> Sample | None:
        dims = len(own.spacing)
        channel = self._channel(count_voxels(donor.mask, dims), draw, mask_dims=donor.mask.dim())
        if channel is None:
            return None
        voxels = show(donor.mask, channel, dims).nonzero()
        box = _box(voxels[int(draw["voxel"] * len(voxels))], own.image.shape[1:], draw)
        image, mask = own.image.clone(), own.mask.clone()
        image[..., *box], mask[..., *box] = donor.image[..., *box], donor.mask[..., *box]
        return replace(own, image=image, mask=mask)

    def _channel(self, counts: Tensor, draw: Draw, *, mask_dims: int) -> int | None:
        """The class that the box is put around; None if the donor has but background."""
        counts = counts.cpu().double()
        if mask_dims == len(draw["size"]):
            counts[:1] = 0
        if not counts.any():
            return None
        weights = torch.where(counts > 0, counts.clamp(min=1) ** -self.rarity, 0.0)
        sums = weights.cumsum(0)
        return int((sums <= draw["class"] * sums[-1]).sum())


def _box(voxel: Tensor, patch: torch.Size, draw: Draw) -> tuple[slice, ...]:
    """A box of the drawn size that holds the voxel and lies in the patch."""
    box = []
    for place, n, share, before in zip(
        voxel.tolist(), patch, draw["size"], draw["before"], strict=True
    ):
        length = max(1, round(share * n))
        start = min(max(place - int(before * length), 0), n - length)
        box.append(slice(start, start + length))
    return tuple(box)
