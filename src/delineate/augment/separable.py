"""Linear maps that act on one axis at a time: blur, change of resolution, smooth fields.

Each is a small matrix (out, in) per axis, so one batched matrix product an axis does the work.
"""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["along_axes", "blurring", "interpolating", "smooth_basis"]


def along_axes(
    values: Float[Tensor, " n *s"], matrices: Sequence[Float[Tensor, "..."] | None]
) -> Float[Tensor, " n *r"]:
    """The values after one matrix an axis: (out, in), or (n, out, in) for one a row; None skips."""
    for axis, matrix in enumerate(matrices, start=1):
        if matrix is None:
            continue
        before, after = values.shape[1:axis], values.shape[axis + 1 :]
        size = matrix.shape[-2]
        if after:
            stacked = values.reshape(len(values), prod(before), -1, prod(after))
            own = matrix[:, None] if matrix.dim() == 3 else matrix
            values = (own @ stacked).view(len(values), *before, size, *after)
        else:
            rows = values.reshape(len(values), prod(before), -1)
            values = (rows @ matrix.mT).view(len(values), *before, size)
    return values


def blurring(sigmas: Float[Tensor, " n"], size: int) -> Float[Tensor, "n {size} {size}"]:
    """Gaussian blur of each sigma in voxels; weights are shared out anew at the border.

    A sigma of 0 leaves values as they are.
    """
    offsets = torch.arange(size, device=sigmas.device, dtype=sigmas.dtype)
    distance = offsets[:, None] - offsets
    weights = torch.exp(-0.5 * (distance / sigmas.clamp(min=1e-3)[:, None, None]) ** 2)
    return weights / weights.sum(-1, keepdim=True)


def interpolating(where: Float[Tensor, "*n m"], size: int) -> Float[Tensor, "*n m {size}"]:
    """Linear interpolation at these voxel positions; beyond the ends it fades to 0 in one voxel."""
    where = where[..., None]
    knots = torch.arange(size, device=where.device, dtype=where.dtype)
    return (1 - (where - knots).abs()).clamp(min=0)


def smooth_basis(size: int, knots: int) -> Float[Tensor, "{size} {knots}+2"]:
    """Uniform cubic B-splines over an axis cut into `knots - 1` intervals; rows sum to 1."""
    place = torch.linspace(0, knots - 1, size)[:, None] - torch.arange(-1, knots + 1)
    distance = place.abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)
