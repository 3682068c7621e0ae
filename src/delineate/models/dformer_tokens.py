"""Tokens on a grid, channels innermost: made of patches, told their positions, merged, spread.

An odd grid is filled up with zeros before it is merged. Positions are a depth-wise convolution of 3
plus its input, which is the same kernel with one more in its middle. PyTorch's gradients of it are
slow on a CPU in 3-D: that of the input is a convolution with the mirrored kernel, that of the
kernel is taken plane by plane, each a convolution in 2-D.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Embed", "Merge", "Position", "Up"]


class Embed(nn.Module):
    """One token for each patch, channels innermost."""

    def __init__(self, in_channels: int, width: int, patch: tuple[int, ...]) -> None:
        super().__init__()
        self.patch = patch
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(patch)]
        self.convolution = kind(in_channels, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Float[Tensor, "b *g d"]:
        """Tokens, the last ones of an axis filled up with zeros."""
        x = _filled(image, self.patch, first=2)
        dims = len(self.patch)
        for axis in reversed(range(dims)):
            x = x.unflatten(2 + axis, (-1, self.patch[axis]))
        coarse, inner = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
        x = x.permute(0, *coarse, 1, *inner).flatten(1 + dims)
        # A convolution whose kernel is its stride is a product.
        return self.norm(F.linear(x, self.convolution.weight.flatten(1), self.convolution.bias))


class Position(nn.Module):
    """The tokens plus a depth-wise convolution of them."""

    def __init__(self, width: int, dims: int) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        convolution = kind(width, width, 3, padding=1, groups=width)
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, x: Float[Tensor, "b *g c"]) -> Float[Tensor, "b *g c"]:
        """Tokens of the same grid."""
        middle = self.weight.new_zeros((3,) * (x.dim() - 2))
        middle[(1,) * middle.dim()] = 1
        kernel, image = self.weight + middle, x.movedim(-1, 1)
        if x.dim() == 4:
            found = F.conv2d(image, kernel, self.bias, padding=1, groups=len(kernel))
        elif x.device.type != "cpu" or x.dtype != kernel.dtype or not torch.is_grad_enabled():
            found = F.conv3d(image, kernel, self.bias, padding=1, groups=len(kernel))
        else:
            found = _Depthwise.apply(image, kernel, self.bias)
        return found.movedim(1, -1)


class _Depthwise(torch.autograd.Function):
    """A depth-wise convolution of 3 in three dimensions with faster gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return F.conv3d(x, kernel, bias, padding=1, groups=len(kernel))

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        grad_x = F.conv3d(grad, kernel.flip(2, 3, 4), padding=1, groups=len(kernel))
        taps = [_plane_taps(x, grad, kernel[:, :, i], shift=i - 1) for i in range(3)]
        return grad_x, torch.stack(taps, dim=2), grad.sum((0, 2, 3, 4))


def _plane_taps(
    x: Float[Tensor, "b c i j k"], grad: Float[Tensor, "b c i j k"], taps: Tensor, *, shift: int
) -> Float[Tensor, "c 1 3 3"]:
    """The gradient of a plane of the kernel: that of a convolution of planes with planes."""
    count = x.shape[2] - abs(shift)
    if count < 1:
        return torch.zeros_like(taps)
    first = max(0, -shift)
    planes = x.narrow(2, first + shift, count).transpose(1, 2).flatten(0, 1)
    pulls = grad.narrow(2, first, count).transpose(1, 2).flatten(0, 1)
    ones, zeros, wanted = [1, 1], [0, 0], [False, True, False]
    found = torch.ops.aten.convolution_backward(
        pulls, planes, taps, None, ones, ones, ones, False, zeros, len(taps), wanted
    )
    return found[1]


class Merge(nn.Module):
    """Each block of 2 tokens per axis becomes one token of twice the channels."""

    def __init__(self, width: int, dims: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2**dims * width)
        self.reduce = nn.Linear(2**dims * width, 2 * width, bias=False)

    def forward(self, x: Float[Tensor, "b *g c"]) -> Float[Tensor, "b *h d"]:
        """From n tokens along an axis to n / 2, rounded up."""
        dims = x.dim() - 2
        x = _filled(x, (2,) * dims, first=1)
        for axis in reversed(range(dims)):
            x = x.unflatten(1 + axis, (-1, 2))
        coarse, inner = range(1, 1 + 2 * dims, 2), range(2, 2 + 2 * dims, 2)
        x = x.permute(0, *coarse, *inner, 1 + 2 * dims).flatten(1 + dims)
        return self.reduce(self.norm(x))


class Up(nn.Module):
    """Each token becomes a block of 2 per axis with half the channels, and takes in the skip."""

    def __init__(self, width: int, dims: int) -> None:
        super().__init__()
        self.expand = nn.Linear(2 * width, 2**dims * width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(2 * width, width)

    def forward(
        self, x: Float[Tensor, "b *g d"], skip: Float[Tensor, "b *h c"]
    ) -> Float[Tensor, "b *h c"]:
        """Tokens of the skip's grid."""
        dims, width = x.dim() - 2, skip.shape[-1]
        own, other = self.mix.weight.chunk(2, dim=1)
        fine = self.norm(self.expand(x).unflatten(-1, (*(2,) * dims, width)))
        fine = F.linear(fine, own)
        pairs = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
        fine = fine.permute(0, *pairs, 1 + 2 * dims)
        for axis in range(dims):
            fine = fine.flatten(1 + axis, 2 + axis)
        for axis, size in enumerate(skip.shape[1:-1], start=1):
            fine = fine.narrow(axis, 0, size)
        return F.linear(skip, other, self.mix.bias) + fine


def _filled(x: Tensor, steps: Sequence[int], *, first: int) -> Tensor:
    """Zeros at the end of each axis from the `first` on, until its step divides it."""
    sizes = x.shape[first : first + len(steps)]
    lacking = [-n % step for n, step in zip(sizes, steps, strict=True)]
    if not any(lacking):
        return x
    behind = [0, 0] * (x.dim() - first - len(steps))
    return F.pad(x, [*behind, *(n for lack in reversed(lacking) for n in (0, lack))])
