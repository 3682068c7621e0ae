"""The pieces that the networks are built from, in two and three dimensions."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.norm import NormAct

__all__ = ["ConvBlock", "channels_last", "convolution", "initialise", "stack", "transposed"]


class ConvBlock(nn.Module):
    """Convolution, instance normalisation, leaky ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int]
    ) -> None:
        super().__init__()
        self.convolution = convolution(in_channels, out_channels, kernel, stride)
        self.norm = NormAct(out_channels)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """Features at 1 / stride of the resolution."""
        return self.norm(self.convolution(x))


def stack(
    in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int], count: int
) -> nn.Sequential:
    """Several ConvBlocks of one width; the first takes the stride."""
    ones = (1,) * len(kernel)
    first = ConvBlock(in_channels, out_channels, kernel, stride)
    rest = (ConvBlock(out_channels, out_channels, kernel, ones) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    *,
    bias: bool = True,
) -> nn.Conv2d | nn.Conv3d:
    """A padded convolution in as many dimensions as the kernel has entries."""
    padding = tuple(k // 2 for k in kernel)
    kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    return kind(in_channels, out_channels, tuple(kernel), tuple(stride), padding, bias=bias)


def transposed(
    in_channels: int, out_channels: int, stride: Sequence[int]
) -> nn.ConvTranspose2d | nn.ConvTranspose3d:
    """An up-sampling convolution whose kernel is its stride."""
    kind = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[len(stride)]
    return kind(in_channels, out_channels, tuple(stride), tuple(stride))


def initialise(module: nn.Module) -> None:
    """He initialisation for leaky ReLUs of slope 0.01, biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(part.weight, a=0.01)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def channels_last(x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
    """The same values with channels innermost in memory, the layout of the fast CPU kernels."""
    layout = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    x = x.contiguous(memory_format=layout)
    if x.shape[1] > 1:
        return x
    # One channel fits both layouts; the strides must say which one is meant.
    return x.as_strided(x.shape, (x.stride(0), 1, *x.stride()[2:]))
