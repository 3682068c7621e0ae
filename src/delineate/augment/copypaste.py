"""Copy-paste of lesions: the voxels of some classes of one sample, put on the tissue of another.

After Ghiasi et al. (CVPR 2021) and TumorCP (Yang et al., MICCAI 2021). We differ: lesions land on
tissue only, voxel by voxel, and keep their grey values, which were normalised with their scan.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from delineate.augment.classes import channels_of
from delineate.augment.limits import check_number, check_probability
from delineate.augment.paste import Sample, paste
from delineate.augment.separable import along_axes, blurring
from delineate.augment.transform import Draw, Draws, Frame
from delineate.contracts import Batch
from delineate.labels import Labels

__all__ = ["CopyPaste"]

_DARK = 0.1


class CopyPaste:
    """Copy all voxels of some classes from another sample of the batch, to a shifted place.

    They land where the image is tissue: brighter than a tenth of the way from its darkest to its
    mean value in some channel, and not the 0 beyond the scan. With exclusive labels they replace
    what was there; overlapping masks are united, so the organ stays under its lesion. A sample
    depends on (seed, step, slot) and on its donor. Nothing happens if the donor shows no lesion.

    Args:
        classes: names or channels; None means all but the background.
        shift: largest shift along each axis, as a share of the patch; 0 keeps the donor's place.
        feather_mm: deviation of the Gaussian over which the donor's image fades out around its
            lesions; 0 cuts at their edge. Lesions themselves are copied in full.
        probability: of pasting into a sample.
        labels: what gives channels their names and stands behind the columns of presence.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str | int] | None = None,
        shift: float = 0.25,
        feather_mm: float = 1.0,
        probability: float = 0.2,
        labels: Labels | None = None,
    ) -> None:
        check_number(self, "shift", shift, low=0, high=1)
        check_number(self, "feather_mm", feather_mm, low=0)
        check_probability(self, probability)
        if classes is not None and not classes:
            raise ValueError(
                "CopyPaste: classes is empty. Fix: name some, or leave it out for all."
            )
        self.channels = None if classes is None else channels_of(self, classes, labels)
        self.shift = shift
        self.feather_mm = feather_mm
        self.probability = probability
        self.labels = labels

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """A number from 0 to 1 that chooses the donor, and a shift along each axis."""
        if rng.random() >= self.probability:
            return None
        shift = rng.uniform(-1, 1, len(frame.patch)) * self.shift
        return {"donor": float(rng.random()), "shift": shift.tolist()}

    def apply(self, batch: Batch, draws: Draws) -> Batch:
        """The batch with lesions pasted."""
        return paste(batch, draws, self._merge, part=self, labels=self.labels)

    def _merge(self, own: Sample, donor: Sample, draw: Draw) -> Sample | None:
        size = own.image.shape[1:]
        steps = [round(share * n) for share, n in zip(draw["shift"], size, strict=True)]
        lesions = self._lesions(donor.mask, len(size))
        margin = [ceil(3 * self.feather_mm / mm) for mm in own.spacing]
        boxes = _boxes(lesions.any(0), steps, margin)
        if boxes is None:
            return None
        taken, put = boxes
        landed = lesions[:, *taken] & _tissue(own.image)[put]
        if not landed.any():
            return None
        image, mask = own.image.clone(), own.mask.clone()
        image[:, *put] = self._blend(image[:, *put], donor.image[:, *taken], landed.any(0), own)
        if mask.dim() == len(size):
            mask[put] = torch.where(landed[0], donor.mask[taken], mask[put])
        else:
            channels = self._channels(len(mask))
            mask[channels, *put] = torch.maximum(mask[channels, *put], landed.to(mask.dtype))
        return replace(own, image=image, mask=mask)

    def _channels(self, count: int) -> list[int]:
        return list(range(count) if self.channels is None else self.channels)

    def _lesions(self, mask: Tensor, dims: int) -> Bool[Tensor, "k *s"]:
        """What may be copied: one map of all classes, or each class where masks overlap."""
        if mask.dim() > dims:
            return mask[self._channels(len(mask))] > 0
        if self.channels is None:
            return mask[None] > 0
        return torch.stack([mask == c for c in self.channels]).any(0, keepdim=True)

    def _blend(
        self,
        image: Float[Tensor, "c *s"],
        donor: Float[Tensor, "c *s"],
        landed: Bool[Tensor, "*s"],
        own: Sample,
    ) -> Float[Tensor, "c *s"]:
        """The donor's image where lesions landed, fading into the sample's own around them."""
        if self.feather_mm == 0:
            return torch.where(landed, donor, image)
        matrices = [
            blurring(image.new_tensor([self.feather_mm / mm]), n)[0]
            for mm, n in zip(own.spacing, landed.shape, strict=True)
        ]
        # At a straight edge the blur is a half: twice it falls from 1 there.
        share = along_axes(landed[None].to(image), matrices).mul_(2).clamp_(max=1)
        return torch.lerp(image, donor, torch.where(landed, 1.0, share))


def _boxes(
    lesion: Bool[Tensor, "*s"], steps: list[int], margin: list[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """The box of the lesions in the donor and, shifted, in the sample, cut to both patches.

    None if there is no lesion, or its place is beyond the patch.
    """
    taken, put = [], []
    for axis, (n, step, rim) in enumerate(zip(lesion.shape, steps, margin, strict=True)):
        others = [a for a in range(lesion.dim()) if a != axis]
        line = lesion.any(others).nonzero()[:, 0]
        if len(line) == 0:
            return None
        start = max(int(line[0]) - rim, 0, -step)
        stop = min(int(line[-1]) + 1 + rim, n, n - step)
        if start >= stop:
            return None
        taken.append(slice(start, stop))
        put.append(slice(start + step, stop + step))
    return tuple(taken), tuple(put)


def _tissue(image: Float[Tensor, "c *s"]) -> Bool[Tensor, "*s"]:
    flat = image.flatten(1)
    low, mean = flat.amin(1, keepdim=True), flat.mean(1, keepdim=True)
    bright = (flat > low + _DARK * (mean - low)).any(0)
    return (bright & (flat != 0).any(0)).view(image.shape[1:])
