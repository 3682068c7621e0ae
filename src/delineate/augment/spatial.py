"""One resampling for all geometry: from the patch that was read to the patch the network sees."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from delineate.augment.resample import centred_grid, sample_ids, sample_linear
from delineate.augment.transform import Draw, Draws, Frame, Geometric
from delineate.contracts import Batch

__all__ = ["Spatial"]

_AT_ONCE = 16

Origins = list[Tensor]
"""Where each voxel of the result comes from, in voxels of what was read, one tensor an axis."""


class Spatial:
    """Affine and elastic maps folded into one sampling; samples without a draw are cropped.

    Images are interpolated linearly and are 0 outside what was read. Masks take the class with the
    largest share, so none is invented and ignored voxels stay ignored, and are background outside.
    Distances are interpolated, and grow with the structures.
    """

    def __init__(self, transforms: Sequence[Geometric], *, patch: tuple[int, ...]) -> None:
        self.transforms = tuple(transforms)
        self.patch = patch

    def apply(self, batch: Batch, draws: Sequence[Draws]) -> Batch:
        """The batch at the patch's size; draws come per transform, then per sample."""
        self._check_size(tuple(batch.image.shape[2:]))
        of_samples = [[d[slot] for d in draws] for slot in range(len(batch.image))]
        origins = [self._origins(batch, slot, own) for slot, own in enumerate(of_samples)]
        growth = [self._growth(own) for own in of_samples]
        change = partial(self._each, origins=origins)
        mask, distance = batch.target.mask, batch.target.distance
        target = replace(
            batch.target,
            mask=None if mask is None else change(mask, lambda m, p, _: _sample_mask(m, p)),
            distance=None
            if distance is None
            else change(
                distance, lambda d, p, i: _sample_classes(d, p, zero_outside=False) * growth[i]
            ),
        )
        image = change(batch.image, lambda x, p, _: sample_linear(x, p, zero_outside=True))
        return replace(batch, image=image, target=target)

    def _check_size(self, read: tuple[int, ...]) -> None:
        fits = len(read) == len(self.patch)
        if not fits or any(r < p for r, p in zip(read, self.patch, strict=True)):
            raise ValueError(
                f"augment: the batch has {read} voxels, too few for the patch {self.patch}. "
                "Fix: read Sequence.read_patch(spacing) voxels, padded where the scan ends."
            )

    def _origins(self, batch: Batch, slot: int, draws: list[Draw | None]) -> Origins | None:
        """None if nothing moves."""
        if not any(draws):
            return None
        frame = Frame(
            channels=batch.image.shape[1],
            patch=self.patch,
            spacing=batch.spacing,
            mask=None if batch.target.mask is None else batch.target.mask[slot],
        )
        points = self._pull(centred_grid(self.patch, batch.image.device), draws, frame)
        starts = self._starts(batch.image.shape[2:])
        return [
            p + (start + (n - 1) / 2)
            for p, start, n in zip(points, starts, self.patch, strict=True)
        ]

    def _pull(self, points: list[Tensor], draws: list[Draw | None], frame: Frame) -> list[Tensor]:
        """Back through as many of the transforms as there are draws, the last of them first."""
        for place, draw in reversed(list(enumerate(draws))):
            if draw is not None:
                before = partial(self._pull, draws=draws[:place], frame=frame)
                points = self.transforms[place].pull(points, draw, replace(frame, before=before))
        return points

    def _growth(self, draws: list[Draw | None]) -> float:
        pairs = zip(self.transforms, draws, strict=True)
        return prod((t.growth(d) for t, d in pairs if d is not None), start=1.0)

    def _starts(self, read: Sequence[int]) -> list[int]:
        return [(r - p) // 2 for r, p in zip(read, self.patch, strict=True)]

    def _crop(self, tensor: Shaped[Tensor, "*r"]) -> Shaped[Tensor, "*s"]:
        """The central patch, as a view."""
        size = tensor.shape[tensor.dim() - len(self.patch) :]
        starts = self._starts(size)
        return tensor[(..., *(slice(s, s + p) for s, p in zip(starts, self.patch, strict=True)))]

    def _each(
        self,
        tensor: Shaped[Tensor, " b *r"],
        sample: Callable[[Tensor, Origins, int], Tensor],
        *,
        origins: list[Origins | None],
    ) -> Shaped[Tensor, " b *s"]:
        """Sampled where there are origins, cropped elsewhere; a view if nothing is sampled."""
        cropped = self._crop(tensor)
        if all(o is None for o in origins):
            return cropped
        out = torch.empty(cropped.shape, dtype=tensor.dtype, device=tensor.device)
        for slot, own in enumerate(origins):
            out[slot] = cropped[slot] if own is None else sample(tensor[slot], own, slot)
        return out


def _sample_mask(mask: Tensor, points: Origins) -> Tensor:
    """Ids (*s) by the largest share; overlapping masks (k, *s) each by half."""
    if mask.dim() == len(points):
        return sample_ids(mask, points)
    return (_sample_classes(mask, points, zero_outside=True) >= 0.5).to(mask.dtype)


def _sample_classes(
    maps: Shaped[Tensor, " k *r"], points: Origins, *, zero_outside: bool
) -> Float[Tensor, " k *s"]:
    """Linear interpolation of one map a class; of hundreds, most are 0 throughout a patch."""
    size = torch.broadcast_shapes(*(p.shape for p in points))
    out = torch.zeros(len(maps), *size, device=maps.device)
    held = maps.flatten(1).any(1).nonzero()[:, 0]
    # Some at a time: interpolation takes the room of several copies.
    for some in held.split(_AT_ONCE) if len(held) else ():
        out[some] = sample_linear(maps[some].float(), points, zero_outside=zero_outside)
    return out
