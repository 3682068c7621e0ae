"""U-Net: Ronneberger et al., arXiv 1505.04597, in the plain form of nnU-Net (Isensee et al., 2021).

Each stage is a stack of (convolution, instance normalisation, leaky ReLU); the first convolution of
a stage carries its stride. The way up is a transposed convolution whose kernel is its stride, the
features of the same resolution are put beside it, and a stack follows. Widths, strides and kernels
come from the plan, one entry per stage, finest first.

How we differ from nnU-Net: heads of the coarser resolutions exist only with deep supervision.
"""

from collections.abc import Sequence
from typing import ClassVar

from delineate.models.blocks import initialise
from delineate.models.encoder_decoder import EncoderDecoder, check_stages, way_down, way_up

__all__ = ["UNet"]


class UNet(EncoderDecoder):
    """An encoder and a decoder with skip connections; two or three dimensions by `strides`.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        convolutions: per stage, how many convolutions; the decoder has as many as the encoder.
        deep_supervision: while training, also return logits of every coarser decoder stage.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    light: ClassVar = False
    """Whether skips are added, and one convolution follows."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        convolutions: Sequence[int],
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        check_stages(
            type(self).__name__,
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=convolutions,
        )
        super().__init__(strides, checkpointing=checkpointing)
        self.encoder = way_down(
            in_channels,
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=convolutions,
        )
        self.up, self.decoder, self.heads = way_up(
            out_channels,
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=(1,) * len(features) if self.light else convolutions,
            deep_supervision=deep_supervision,
            added=self.light,
        )
        initialise(self)
