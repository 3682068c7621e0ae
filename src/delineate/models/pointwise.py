"""1x1 convolutions that change the resolution: the residuals around a block that does.

PyTorch's CPU kernel for a 1x1 convolution with a stride writes outside its memory in the backward
pass where channels are innermost (release 2.13). Here the stride is a slice, the convolution plain.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution

__all__ = ["Spread", "Thinned", "thin"]


def thin(x: Float[Tensor, "b c *s"], stride: Sequence[int]) -> Float[Tensor, "b c *r"]:
    """Every stride-th voxel along each axis, the first one included."""
    if all(step == 1 for step in stride):
        return x
    return x[(..., *(slice(None, None, step) for step in stride))]


class Thinned(nn.Module):
    """A 1x1 convolution with a stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        ones = (1,) * len(stride)
        self.convolution = convolution(in_channels, out_channels, ones, ones)
        self.stride = tuple(stride)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """From n voxels to n / stride, rounded up."""
        return self.convolution(thin(x, self.stride))


class Spread(nn.Module):
    """A transposed 1x1 convolution with a stride: between the voxels stands the bias alone."""

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        ones = (1,) * len(stride)
        self.convolution = convolution(in_channels, out_channels, ones, ones)
        self.stride = tuple(stride)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """From n voxels to (n - 1) * stride + 1."""
        y = self.convolution(x)
        bias = self.convolution.bias
        assert bias is not None
        sizes = ((n - 1) * step + 1 for n, step in zip(y.shape[2:], self.stride, strict=True))
        full = bias.to(y.dtype).view(-1, *(1 for _ in self.stride))
        full = full.expand(*y.shape[:2], *sizes).clone(memory_format=torch.preserve_format)
        full[(..., *(slice(None, None, step) for step in self.stride))] = y
        return full
