"""A U-Net with half the work: the plain encoder, and a decoder that only refines what comes down.

At full resolution, where most of a U-Net's time goes, the plain decoder does three quarters of the
arithmetic. Here a skip is added to the coarser features and not put beside them, as in LinkNet
(Chaurasia and Culurciello, arXiv 1707.03718), and one convolution follows. On a small set of scans
the Dice after a number of steps was the same, so that in a given time there are more of them.
"""

from torch import Tensor

from delineate.models.unet import UNet

__all__ = ["LightUNet"]


class LightUNet(UNet):
    """The plain U-Net's encoder with a decoder of one convolution a stage; two or three dimensions.

    Its arguments are the plain U-Net's; `convolutions` counts those of the encoder.
    """

    light = True

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, up-sampled, and the skip added to them."""
        return self.up[stage](coarse) + skip
