"""One resampling for all geometry: from the patch that was read to the patch the network sees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, floor, prod

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from delineate.augment.resample import centred_grid, sample_ids, sample_linear
from delineate.augment.transform import Draw, Draws, Frame, Geometric
from delineate.contracts import Batch

__all__ = ["Spatial"]

_AT_ONCE = 16
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Origins:
    """Where each voxel of the result comes from."""

    box: tuple[slice, ...]
    """What of that which was read is needed: after a rotation of a few degrees, half of it."""
    points: list[Tensor]
    """In voxels of the box, one tensor an axis."""

    @classmethod
    def of(
        cls, points: Sequence[Tensor], centre: Sequence[float], read: Sequence[int]
    ) -> "Origins":
        """From points counted from the centre; those beyond what was read are beyond the box."""
        if points[0].device.type != "cpu":  # Asking a card where they lie takes longer.
            box = tuple(slice(0, n) for n in read)
        else:
            box = tuple(map(_reach, points, centre, read))
        return cls(box, [p + (c - b.start) for p, c, b in zip(points, centre, box, strict=True)])


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
        return replace(batch, image=image, target=target, place=None)

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
            place=None if batch.place is None else batch.place[slot],
            read=tuple(batch.image.shape[2:]),
        )
        points = self._pull(centred_grid(self.patch, batch.image.device), draws, frame)
        read = batch.image.shape[2:]
        starts = zip(self._starts(read), self.patch, strict=True)
        centre = [start + (n - 1) / 2 for start, n in starts]
        return Origins.of(points, centre, read)

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
        sample: Callable[[Tensor, list[Tensor], int], Tensor],
        *,
        origins: list[Origins | None],
    ) -> Shaped[Tensor, " b *s"]:
        """Sampled where there are origins, cropped elsewhere; a view if nothing is sampled."""
        cropped = self._crop(tensor)
        if all(o is None for o in origins):
            return cropped
        out = torch.empty(cropped.shape, dtype=tensor.dtype, device=tensor.device)
        for slot, own in enumerate(origins):
            if own is None:
                out[slot] = cropped[slot]
            else:
                out[slot] = sample(tensor[slot][(..., *own.box)], own.points, slot)
        return out


def _reach(points: Tensor, centre: float, length: int) -> slice:
    """The voxels along one axis that points lie between; always one of them."""
    low, high = (float(end) + centre for end in torch.aminmax(points))
    start = min(max(floor(low - _ROUNDING), 0), length - 1)
    return slice(start, min(max(ceil(high + _ROUNDING), start) + 1, length))


def _sample_mask(mask: Tensor, points: list[Tensor]) -> Tensor:
    """Ids (*s) by the largest share; overlapping masks (k, *s) each by half."""
    if mask.dim() == len(points):
        return sample_ids(mask, points)
    return (_sample_classes(mask, points, zero_outside=True) >= 0.5).to(mask.dtype)


def _sample_classes(
    maps: Shaped[Tensor, " k *r"], points: list[Tensor], *, zero_outside: bool
) -> Float[Tensor, " k *s"]:
    """Linear interpolation of one map a class; of hundreds, most are 0 throughout a patch."""
    size = torch.broadcast_shapes(*(p.shape for p in points))
    out = torch.zeros(len(maps), *size, device=maps.device)
    held = maps.flatten(1).any(1).nonzero()[:, 0]
    # Some at a time: interpolation takes the room of several copies.
    for some in held.split(_AT_ONCE) if len(held) else ():
        out[some] = sample_linear(maps[some].float(), points, zero_outside=zero_outside)
    return out
