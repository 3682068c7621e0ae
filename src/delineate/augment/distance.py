"""Signed distances after some voxels of a patch have changed their class.

Maps are made of whole scans, so near its border a patch knows of structures that it does not hold.
What can be kept of that knowledge is kept; the rest is made anew from the patch alone.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from delineate.augment.classes import show
from delineate.geometry import bounding_box, signed_distance

__all__ = ["mend_distances", "remake_distances"]


def mend_distances(
    distance: Float[Tensor, "k *s"], before: Tensor, after: Tensor, spacing: tuple[float, ...]
) -> Float[Tensor, "k *s"]:
    """The maps for the mask `after`, from those for the mask `before`; ids (*s) or (k, *s).

    A map stays where its surface is nearer than the box of the changed voxels, which is exact. In
    the rest it is the distance to the surface in the patch, and never farther than it was to a
    structure that has only grown (or to the outside of one that has only shrunk): exact too,
    unless the nearest surface is beyond the patch and voxels were both won and lost. A class
    without a surface in the patch has the map 0.
    """
    mended = distance.clone()
    for channel in _changed(before, after, len(spacing)):
        old, new = (show(mask, channel, len(spacing)) for mask in (before, after))
        mended[channel] = _mend(distance[channel], old, new, spacing)
    return mended


def remake_distances(
    distance: Float[Tensor, "k *s"], mask: Tensor, spacing: tuple[float, ...]
) -> Float[Tensor, "k *s"]:
    """As many maps, from the patch's mask alone."""
    remade = torch.zeros_like(distance)
    for channel, row in enumerate(remade):
        fresh = signed_distance(show(mask, channel, len(spacing)).cpu().numpy(), spacing)
        if fresh is not None:
            row.copy_(torch.from_numpy(fresh))
    return remade


def _changed(before: Tensor, after: Tensor, dims: int) -> list[int]:
    """The channels that the masks show in different places."""
    if before.dim() > dims:
        return ((before > 0) != (after > 0)).flatten(1).any(1).nonzero()[:, 0].tolist()
    differ = before != after
    ids = torch.cat((before[differ], after[differ])).unique()
    return ids[ids >= 0].tolist()


def _mend(
    distance: Float[Tensor, "*s"],
    old: Bool[Tensor, "*s"],
    new: Bool[Tensor, "*s"],
    spacing: tuple[float, ...],
) -> Float[Tensor, "*s"]:
    made = signed_distance(new.cpu().numpy(), spacing)
    if made is None:
        return torch.zeros_like(distance)
    fresh = torch.from_numpy(made).to(distance)
    if not distance.any():
        return fresh
    if not (old & ~new).any():
        fresh = torch.where(new, fresh, torch.minimum(fresh, distance))
    if not (new & ~old).any():
        fresh = torch.where(new, torch.maximum(fresh, distance), fresh)
    # A little less, for maps are stored and resampled with a rounding.
    kept = distance.abs() < 0.999 * _from_box(old != new, spacing)
    return torch.where(kept, distance, fresh)


def _from_box(changed: Bool[Tensor, "*s"], spacing: tuple[float, ...]) -> Float[Tensor, "*s"]:
    """Mm from each voxel to the box of these voxels, of which there are some; 0 inside."""
    squared = torch.zeros(changed.shape, device=changed.device)
    box = bounding_box(changed.cpu().numpy())
    assert box is not None
    for axis, ((start, stop), mm) in enumerate(zip(box, spacing, strict=True)):
        places = torch.arange(changed.shape[axis], device=changed.device)
        gap = torch.maximum(start - places, places - (stop - 1)).clamp(min=0) * mm
        squared += (gap**2).view([-1 if a == axis else 1 for a in range(changed.dim())])
    return squared.sqrt_()
