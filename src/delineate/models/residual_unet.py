"""U-Net with a residual encoder: nnU-Net's ResEnc (Isensee et al., arXiv 2404.09556).

The encoder is a ResNet-D (He et al., arXiv 1812.01187): a stem, then blocks of y = leaky(f(x) +
s(x)), where f is (convolution, norm, leaky ReLU, convolution, norm) and s averages over the stride
and, where the width changes, convolves with a kernel of 1 and normalises. The last norm of f starts
at zero, so that each block starts as its skip. The decoder has one convolution per stage; it and
all else are those of our UNet.

How we differ from nnU-Net: heads of the coarser resolutions exist only with deep supervision.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import ConvBlock, convolution, initialise
from delineate.models.encoder_decoder import EncoderDecoder, check_stages, deepened, way_up
from delineate.models.norm import NormAct

__all__ = ["ResidualUNet"]

BLOCKS = (1, 3, 4, 6)
"""Per stage, finest first; deeper stages have as many as the last."""


class ResidualUNet(EncoderDecoder):
    """A U-Net whose encoder stages are stacks of residual blocks, in two or three dimensions.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        blocks: per encoder stage, how many residual blocks; None is 1, 3, 4, 6, 6, ...
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
            "ResidualUNet", features=features, strides=strides, kernels=kernels, blocks=blocks
        )
        super().__init__(strides, checkpointing=checkpointing)
        stem = ConvBlock(in_channels, features[0], kernels[0], strides[0])
        widths = (features[0], *features)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *([stem] if i == 0 else []),
                ResidualBlock(widths[i], widths[i + 1], kernels[i], strides[i]),
                *(
                    ResidualBlock(features[i], features[i], kernels[i], strides[0])
                    for _ in range(blocks[i] - 1)
                ),
            )
            for i in range(len(features))
        )
        self.up, self.decoder, self.heads = way_up(
            out_channels,
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=(1,) * len(features),
            deep_supervision=deep_supervision,
        )
        initialise(self)


class ResidualBlock(nn.Module):
    """Two convolutions and a way around them; it starts as the way around alone."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int]
    ) -> None:
        super().__init__()
        ones = (1,) * len(kernel)
        self.first = ConvBlock(in_channels, out_channels, kernel, stride)
        self.second = convolution(out_channels, out_channels, kernel, ones)
        self.norm = NormAct(out_channels, slope=1)
        nn.init.zeros_(self.norm.weight)
        self.skip = nn.Sequential()
        if any(step > 1 for step in stride):
            pool = {2: nn.AvgPool2d, 3: nn.AvgPool3d}[len(stride)]
            self.skip.append(pool(tuple(stride)))
        if in_channels != out_channels:
            self.skip.append(convolution(in_channels, out_channels, ones, ones, bias=False))
            self.skip.append(NormAct(out_channels, slope=1))

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """Features at 1 / stride of the resolution."""
        y = self.norm(self.second(self.first(x)))
        return F.leaky_relu_(y.add_(self.skip(x)), 0.01)
