"""Signed distances after some voxels of a patch have changed their class.

Maps are made of whole scans, so near its border a patch knows of structures that it does not hold.
What can be kept of that knowledge is kept; the rest is made anew from the patch alone.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from delineate.augment.classes import show

__all__ = ["mend_distances", "remake_distances", "signed_distance"]


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
        fresh = signed_distance(show(mask, channel, len(spacing)), spacing)
        if fresh is not None:
            row.copy_(fresh)
    return remade


def signed_distance(
    inside: Bool[Tensor, "*s"], spacing: tuple[float, ...]
) -> Float[Tensor, "*s"] | None:
    """Mm to the nearest voxel's centre across the surface, negative inside; None without one."""
    array = inside.cpu().numpy()
    if array.all() or not array.any():
        return None
    # Nothing farther off than one voxel around its box is nearer to a voxel of the structure.
    box = tuple(
        slice(max(0, int(line[0]) - 1), int(line[-1]) + 2)
        for line in (_occupied(array, axis) for axis in range(array.ndim))
    )
    distance = np.asarray(distance_transform_edt(~array, sampling=spacing))
    distance[box] -= np.asarray(distance_transform_edt(array[box], sampling=spacing))
    return torch.from_numpy(distance).to(inside.device, torch.float32)


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
    fresh = signed_distance(new, spacing)
    if fresh is None:
        return torch.zeros_like(distance)
    fresh = fresh.to(distance)
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
    """Mm from each voxel to the box of these voxels, 0 inside."""
    array = changed.cpu().numpy()
    squared = torch.zeros(changed.shape, device=changed.device)
    for axis, (size, mm) in enumerate(zip(array.shape, spacing, strict=True)):
        line = _occupied(array, axis)
        places = torch.arange(size, device=changed.device)
        gap = torch.maximum(int(line[0]) - places, places - int(line[-1])).clamp(min=0) * mm
        squared += (gap**2).view([size if a == axis else 1 for a in range(array.ndim)])
    return squared.sqrt_()


def _occupied(array: np.ndarray, axis: int) -> np.ndarray:
    """The places along an axis at which the array holds something."""
    others = tuple(a for a in range(array.ndim) if a != axis)
    return np.flatnonzero(array.any(axis=others))
