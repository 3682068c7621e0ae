"""MedNeXt: Roy et al., arXiv 2303.09975 (MICCAI 2023), in its four sizes.

A U-Net of residual blocks: depth-wise convolution (kernel 3 or 5), one norm per channel, 1x1 to R
times the width, GELU, 1x1 back. The ways down and up are such blocks too: the depth-wise
convolution carries the stride, transposed on the way up, and the residual is a strided 1x1. Skips
are added. Up-sampled features are shifted by one voxel, and zero in front, as in the authors' code,
so that its weights mean the same here.

How we differ: strides come from the plan, so there are as many levels as the patch allows (the
authors have five, each halving every axis), and an axis on which the plan's kernel is 1 (thick
slices) keeps 1. Level i has the authors' i-th number of blocks, ratio and width; deeper levels
repeat the fifth. Deep supervision has no head at the coarsest level.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution
from delineate.models.encoder_decoder import EncoderDecoder, check_stages
from delineate.models.norm import NormAct
from delineate.models.pointwise import Spread, Thinned

__all__ = ["MedNeXt", "enlarge_kernel"]

BLOCKS = {
    "S": (2, 2, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "M": (3, 4, 4, 4, 4),
    "L": (3, 4, 8, 8, 8),
}
RATIOS = {
    "S": (2, 2, 2, 2, 2),
    "B": (2, 3, 4, 4, 4),
    "M": (2, 3, 4, 4, 4),
    "L": (3, 4, 8, 8, 8),
}
"""By size, level by level from the finest; the decoder mirrors the encoder."""

_Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


class MedNeXt(EncoderDecoder):
    """An encoder and a decoder of MedNeXt blocks; two or three dimensions by `strides`.

    Args:
        strides: per level, the stride on entering it; the first is all ones.
        kernels: per level, the plan's kernel; where it is above 1, `kernel` takes its place.
        size: S, B, M or L, the authors' table of blocks and expansion ratios.
        kernel: of the depth-wise convolutions; the authors start 5 from trained 3 (UpKern).
        width: channels of the finest level; each of the next four has twice as many.
        deep_supervision: while training, also return logits of every coarser decoder level.
        checkpointing: recompute each level in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        size: Literal["S", "B", "M", "L"] = "S",
        kernel: Literal[3, 5] = 3,
        width: int = 32,
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        published = [min(i, 4) for i in range(len(strides))]
        widths = [width * 2**i for i in published]
        check_stages("MedNeXt", features=widths, strides=strides, kernels=kernels)
        super().__init__(strides, checkpointing=checkpointing)
        ones = (1,) * len(strides[0])
        blocks = [BLOCKS[size][i] for i in published]
        ratios = [RATIOS[size][i] for i in published]
        shapes = [tuple(kernel if k > 1 else 1 for k in entry) for entry in kernels]
        levels = range(len(strides))
        self.encoder = nn.ModuleList(
            nn.Sequential(
                _down(widths[i - 1], widths[i], shapes[i], strides[i], ratios[i])
                if i
                else convolution(in_channels, width, ones, ones),
                *(_same(widths[i], shapes[i], ratios[i]) for _ in range(blocks[i])),
            )
            for i in levels
        )
        self.up = nn.ModuleList(
            _up(coarse, fine, shapes[i + 1], strides[i + 1], ratios[i])
            for i, (fine, coarse) in enumerate(pairwise(widths))
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(*(_same(widths[i], shapes[i], ratios[i]) for _ in range(blocks[i])))
            for i in levels[:-1]
        )
        self.heads = nn.ModuleList(
            convolution(widths[i], out_channels, ones, ones)
            for i in (levels[:-1] if deep_supervision else levels[:1])
        )

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, up-sampled, plus the skip."""
        return self.up[stage](coarse) + skip


class Block(nn.Module):
    """Depth-wise convolution, norm, widen, GELU, narrow; plus the input, by way of `shortcut`."""

    def __init__(
        self, depthwise: _Convolution, shortcut: nn.Module, *, out_channels: int, ratio: int
    ) -> None:
        super().__init__()
        channels = depthwise.in_channels
        ones = (1,) * len(depthwise.kernel_size)
        self.depthwise = depthwise
        self.norm = NormAct(channels, slope=1.0)
        self.widen = convolution(channels, ratio * channels, ones, ones)
        self.narrow = convolution(ratio * channels, out_channels, ones, ones)
        self.shortcut = shortcut

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """Features at the resolution of the depth-wise convolution."""
        inner = self.norm(self.depthwise(x))
        return self.narrow(F.gelu(self.widen(inner))) + self.shortcut(x)


def enlarge_kernel(
    weight: Float[Tensor, "d c *k"], kernel: Sequence[int]
) -> Float[Tensor, "d c *r"]:
    """UpKern: a trained depth-wise kernel interpolated linearly to a larger one.

    An axis of length 1 stays constant; the authors' weights go from 3x3x3 to 5x5x5 so.
    """
    mode = "trilinear" if weight.dim() == 5 else "bilinear"
    return F.interpolate(weight, size=tuple(kernel), mode=mode)


def _same(channels: int, kernel: Sequence[int], ratio: int) -> Block:
    ones = (1,) * len(kernel)
    depthwise = _depthwise(channels, kernel, ones)
    return Block(depthwise, nn.Identity(), out_channels=channels, ratio=ratio)


def _down(
    in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int], ratio: int
) -> Block:
    return Block(
        _depthwise(in_channels, kernel, stride),
        Thinned(in_channels, out_channels, stride),
        out_channels=out_channels,
        ratio=ratio,
    )


def _up(
    in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int], ratio: int
) -> nn.Sequential:
    """A block whose (n - 1) * stride + 1 voxels are filled up with zeros in front."""
    kind = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[len(kernel)]
    padding = tuple(k // 2 for k in kernel)
    depthwise = kind(
        in_channels, in_channels, tuple(kernel), tuple(stride), padding, groups=in_channels
    )
    spread = Spread(in_channels, out_channels, stride)
    block = Block(depthwise, spread, out_channels=out_channels, ratio=ratio)
    front = [n for step in reversed(stride) for n in (step - 1, 0)]
    pad = {2: nn.ConstantPad2d, 3: nn.ConstantPad3d}[len(kernel)]
    return nn.Sequential(block, pad(tuple(front), 0.0))


def _depthwise(channels: int, kernel: Sequence[int], stride: Sequence[int]) -> _Convolution:
    kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    padding = tuple(k // 2 for k in kernel)
    return kind(channels, channels, tuple(kernel), tuple(stride), padding, groups=channels)
