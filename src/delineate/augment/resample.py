"""Values of an image or a mask at arbitrary positions.

Positions are one tensor an axis, in voxels of the source, broadcastable to the result. Beyond the
source lies background: masks are 0 there, images fade to 0 within one voxel.
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from operator import mul

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from delineate.augment.separable import along_axes, interpolating

__all__ = ["centred_grid", "sample_ids", "sample_linear"]


def centred_grid(size: Sequence[int], device: torch.device) -> list[Tensor]:
    """A grid's voxels counted from its centre, one broadcastable tensor an axis."""
    grid = []
    for axis, n in enumerate(size):
        shape = [n if a == axis else 1 for a in range(len(size))]
        line = torch.arange(n, device=device, dtype=torch.float32)
        grid.append((line - (n - 1) / 2).view(shape))
    return grid


def sample_linear(
    image: Float[Tensor, " c *s"], where: list[Tensor], *, zero_outside: bool
) -> Float[Tensor, " c *r"]:
    """Linear interpolation; outside is 0, or else the value at the edge."""
    if not zero_outside:
        where = [w.clamp(0, n - 1) for w, n in zip(where, image.shape[1:], strict=True)]
    if all(w.numel() == w.shape[axis] for axis, w in enumerate(where)):
        return _by_axis(image, where)
    # With a rim of zeros, positions beyond it can take its value.
    image = F.pad(image, (1, 1) * len(where))
    if len(where) == 3 and image.device.type == "cpu":
        return _by_planes(image, where)
    return _by_point(image, where)


def sample_ids(mask: Shaped[Tensor, "*s"], where: list[Tensor]) -> Shaped[Tensor, "*r"]:
    """The id with the largest share among the corners of the cell that a position lies in.

    It is the argmax of linearly interpolated one-hot masks at a cost that does not grow with the
    number of classes: most cells have one id throughout, and only the others vote.

    Against nearest neighbour it is better or equal on average over positions, for up to three times
    the time: analytic shapes at 64^3, turned by up to 30 degrees about each axis, against the truth
    turned likewise, mean Dice of balls of radius 1 / 2 / 3 voxels .799 / .880 / .927 for .702 /
    .823 / .885, of tubes .808 / .905 / .938 for .767 / .882 / .922, of plates 1 / 2 / 3 voxels
    thick the same .749 / .874 / .916. The price is volume: a ball of radius 1 or 2 keeps .88 or .93
    of it.
    """
    # A quarter of the bytes to look up.
    padded = F.pad(mask.to(torch.int16), (1, 1) * len(where))
    strides = [prod(padded.shape[axis + 1 :]) for axis in range(len(where))]
    places = [(w + 1).clamp_(0, n - 1) for w, n in zip(where, padded.shape, strict=True)]
    flat = torch.zeros((), dtype=torch.int32, device=mask.device)
    for place, n, stride in zip(places, padded.shape, strides, strict=True):
        flat = torch.add(flat, place.to(torch.int32).clamp_(max=n - 2), alpha=stride)
    first = flat.flatten()
    found = _cells(padded).flatten().index_select(0, first)
    mixed = (found == _MIXED).nonzero()[:, 0]
    own = [p.expand(flat.shape).flatten().index_select(0, mixed) for p in places]
    parts = [p - p.floor().clamp_(max=n - 2) for p, n in zip(own, padded.shape, strict=True)]
    offsets = [sum(map(mul, side, strides)) for side in product((0, 1), repeat=len(strides))]
    ids, first = padded.flatten(), first.index_select(0, mixed)
    corners = torch.stack([ids.index_select(0, first + offset) for offset in offsets])
    found.index_copy_(0, mixed, _vote(corners, parts))
    return found.view(flat.shape).to(mask.dtype)


_MIXED = -(2**15)
"""In place of an id: there are several."""


def _cells(padded: Tensor) -> Tensor:
    """The id at all corners of the cell that begins at a voxel."""
    low = high = padded
    for axis, n in enumerate(padded.shape):
        low = torch.minimum(low.narrow(axis, 0, n - 1), low.narrow(axis, 1, n - 1))
        high = torch.maximum(high.narrow(axis, 0, n - 1), high.narrow(axis, 1, n - 1))
    return F.pad(torch.where(low == high, low, _MIXED), (0, 1) * padded.dim())


def _vote(corners: Tensor, parts: list[Tensor]) -> Tensor:
    """The id with the largest linear weight among the corners (c, n) of n cells.

    Args:
        parts: how far into the cell, by axis.
    """
    lowest, highest = corners.amin(0), corners.amax(0)
    upper = corners == highest
    share = _interpolated(upper.to(parts[0].dtype), parts)
    winner = torch.where(share > 0.5, highest, lowest)
    # Most mixed cells have two ids, one of them with more than half; the others are few.
    more = ((share == 0.5) | ~(upper | (corners == lowest)).all(0)).nonzero()[:, 0]
    winner[more] = _vote_of_many(corners[:, more], [p[more] for p in parts])
    return winner


def _vote_of_many(corners: Tensor, parts: list[Tensor]) -> Tensor:
    """Whatever ids there are at the corners (c, n); of equal ones the first corner's counts."""
    winner, best = corners[0], torch.zeros_like(parts[0])
    for own in corners:
        share = _interpolated((corners == own).to(best.dtype), parts)
        winner = torch.where(share > best, own, winner)
        best = torch.maximum(share, best)
    return winner


def _interpolated(corners: Tensor, parts: list[Tensor]) -> Tensor:
    """Linear interpolation of values at the corners (c, n) of n cells, axis after axis."""
    for part in parts:
        low, high = corners.chunk(2)
        corners = torch.lerp(low, high, part)
    return corners[0]


def _by_axis(image: Tensor, where: list[Tensor]) -> Tensor:
    """Positions along each axis do not depend on the others: scaling and shifting."""
    matrices = [
        interpolating(w.flatten(), length) for w, length in zip(where, image.shape[1:], strict=True)
    ]
    return along_axes(image, matrices)


def _by_point(padded: Tensor, where: list[Tensor]) -> Tensor:
    units = [_unit(w, length) for w, length in zip(where, padded.shape[1:], strict=True)]
    grid = torch.stack(torch.broadcast_tensors(*units[::-1]), dim=-1)[None]
    return F.grid_sample(padded[None], grid, padding_mode="border", align_corners=True)[0]


def _by_planes(padded: Tensor, where: list[Tensor]) -> Tensor:
    """Trilinear as a blend of two bilinear samples, one in each neighbouring plane.

    PyTorch's 2-D kernel is vectorised on the CPU and its 3-D kernel is not: several times as fast.
    The planes lie below each other in one tall picture; the two samples are the two of a batch, so
    that they share the cores.
    """
    channels, depth, height, width = padded.shape
    i = where[0].clamp(-1, depth - 2)
    plane = i.floor()
    rows = torch.add(where[1].clamp(-1, height - 2), plane, alpha=height)
    first = _unit(rows, depth * height, rim=1 + height)
    # Past the last plane the weight is 0, and the picture's border is read.
    steps = first.new_tensor([0.0, 2 * height / (depth * height - 1)]).view(2, 1, 1, 1)
    # A complex number is a pair in memory: the fastest way to interleave coordinates.
    grid = torch.view_as_real(torch.complex(_unit(where[2], width), first + steps))
    tall = padded.view(1, channels, depth * height, width).expand(2, -1, -1, -1)
    both = F.grid_sample(tall, grid.flatten(2, 3), padding_mode="border", align_corners=True)
    both = both.view(2, channels, *grid.shape[1:-1])
    return torch.lerp(both[0], both[1], i - plane)


def _unit(positions: Tensor, length: int, *, rim: int = 1) -> Tensor:
    """Voxels counted from behind the rim to grid_sample's -1..1 over the padded length."""
    scale = 2 / (length - 1)
    return (positions * scale).add_(rim * scale - 1)
