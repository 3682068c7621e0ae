"""A U-Net with half the work: the plain encoder, and a decoder that only refines what comes down.

At full resolution, where most of a U-Net's time goes, the plain decoder does three quarters of the
arithmetic. Here a skip is added to the coarser features and not put beside them, as in LinkNet
(Chaurasia and Culurciello, arXiv 1707.03718), and one convolution follows. On a small set of scans
the Dice after a number of steps was the same, so that in a given time there are more of them.
"""

from collections.abc import Sequence

from torch import Tensor

from delineate.models.blocks import initialise
from delineate.models.encoder_decoder import EncoderDecoder, check_stages, way_down, way_up

__all__ = ["LightUNet"]


class LightUNet(EncoderDecoder):
    """The plain U-Net's encoder with a decoder of one convolution a stage; two or three dimensions.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        convolutions: per stage, how many convolutions of the encoder.
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
        convolutions: Sequence[int],
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        check_stages(
            "LightUNet",
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
            convolutions=(1,) * len(features),
            deep_supervision=deep_supervision,
            added=True,
        )
        initialise(self)

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, up-sampled, and the skip added to them."""
        return self.up[stage](coarse) + skip
