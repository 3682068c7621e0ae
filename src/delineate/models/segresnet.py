"""SegResNet: Myronenko, arXiv 1810.11654, without its variational branch, as MONAI names it.

Each stage starts with a convolution that carries the stride, then come blocks of x + f(x), where f
is twice (group normalisation of 8 groups, ReLU, convolution). On the way up a convolution with a
kernel of 1 halves the width, linear interpolation brings it to the finer resolution, the skip is
added, and one block follows. No convolution has a bias but the heads'.

How we differ: widths, strides, kernels and depth come from the plan (stages beyond the paper's four
have 4 blocks); with four stages of stride 2 and kernel 3 it is the published network, of which
MONAI's default is the one of 8 features. Weights start by He's rule; there is no dropout.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution, initialise
from delineate.models.encoder_decoder import EncoderDecoder, check_stages, deepened
from delineate.models.norm import NormAct

__all__ = ["SegResNet"]

GROUPS = 8
BLOCKS = (1, 2, 2, 4)
"""Per encoder stage, finest first; deeper stages have as many as the last."""


class SegResNet(EncoderDecoder):
    """A residual encoder, and a light decoder that adds its skips; in two or three dimensions.

    Args:
        features: per stage; each a multiple of 8, the number of groups of a normalisation.
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        blocks: per encoder stage, how many residual blocks; None is 1, 2, 2, 4, 4, ...
        deep_supervision: while training, also return logits of every coarser decoder stage.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        blocks: Sequence[int] | None = None,
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        blocks = deepened(BLOCKS, len(features)) if blocks is None else blocks
        check_stages(
            "SegResNet", features=features, strides=strides, kernels=kernels, blocks=blocks
        )
        if any(width % GROUPS for width in features):
            raise ValueError(
                f"SegResNet: features must be multiples of {GROUPS}, the groups of its "
                f"normalisation; got {tuple(features)}. Fix: plan.width=16 or 32."
            )
        super().__init__(strides, checkpointing=checkpointing)
        ones = (1,) * len(strides[0])
        widths = (in_channels, *features)
        up = range(len(features) - 1)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                convolution(widths[i], widths[i + 1], kernels[i], strides[i], bias=False),
                *(Block(features[i], kernels[i]) for _ in range(blocks[i])),
            )
            for i in range(len(features))
        )
        self.up = nn.ModuleList(
            convolution(features[i + 1], features[i], ones, ones, bias=False) for i in up
        )
        self.decoder = nn.ModuleList(Block(features[i], kernels[i]) for i in up)
        self.heads = nn.ModuleList(
            nn.Sequential(_norm(features[i]), convolution(features[i], out_channels, ones, ones))
            for i in (up if deep_supervision else up[:1])
        )
        initialise(self)

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, interpolated, plus the skip."""
        mode = "bilinear" if skip.dim() == 4 else "trilinear"
        return F.interpolate(self.up[stage](coarse), size=skip.shape[2:], mode=mode).add_(skip)


class Block(nn.Module):
    """Two convolutions, each behind its normalisation and ReLU, and the input added."""

    def __init__(self, channels: int, kernel: Sequence[int]) -> None:
        super().__init__()
        ones = (1,) * len(kernel)
        self.norm1 = _norm(channels)
        self.conv1 = convolution(channels, channels, kernel, ones, bias=False)
        self.norm2 = _norm(channels)
        self.conv2 = convolution(channels, channels, kernel, ones, bias=False)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """Features of the same shape."""
        return self.conv2(self.norm2(self.conv1(self.norm1(x)))).add_(x)


def _norm(channels: int) -> NormAct:
    return NormAct(channels, groups=GROUPS, slope=0)
