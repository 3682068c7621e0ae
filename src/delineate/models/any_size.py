"""Images of any size for networks that halve the resolution a fixed number of times."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["cut", "padded"]


def padded(
    image: Float[Tensor, "b c *s"], divisor: int, *, axes: int, network: str
) -> Float[Tensor, "b c *r"]:
    """The image, its last voxels repeated until every axis is a multiple of `divisor`.

    Args:
        axes: spatial axes that the network takes; another number is a ValueError in its name.
    """
    size = image.shape[2:]
    if len(size) != axes:
        raise ValueError(
            f"image: this {network} takes {axes} spatial axes, got the shape {tuple(image.shape)}. "
            f"Fix: pass (b, c, {', '.join('ijk'[:axes])}), or another spatial_dims."
        )
    lacking = [-n % divisor for n in size]
    if not any(lacking):
        return image
    ends = [edge for n in reversed(lacking) for edge in (0, n)]
    return F.pad(image, ends, mode="replicate")


def cut(x: Float[Tensor, "b c *r"], size: Sequence[int]) -> Float[Tensor, "b c *s"]:
    """The part of a padded image's features that belongs to the image."""
    return x if tuple(x.shape[2:]) == tuple(size) else x[(..., *(slice(n) for n in size))]
