"""One encoder, two answers: a mask from the decoder, classes of the whole image from its end.

The plain U-Net of `delineate.models.unet` and a second head: mean and maximum over space of the
coarsest features, then one linear layer. The mean tells what fills the image; the maximum, what is
there only once, such as a single lesion. A U-Net's weights load under the same names.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.unet import UNet

__all__ = ["MultiTaskUNet"]


class MultiTaskUNet(UNet):
    """A U-Net that also says what the image holds; two or three dimensions by `strides`.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        convolutions: per stage, how many convolutions; the decoder has as many as the encoder.
        presence: image-level logits: one per declared structure, or one per class of the image.
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
        presence: int,
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=convolutions,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
        )
        self.presence = nn.Linear(2 * features[-1], presence)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution, and logits of the whole image."""
        features = self.encode(image)
        coarsest = features[-1].flatten(2)
        pooled = torch.cat((coarsest.mean(2), coarsest.amax(2)), dim=1)
        return replace(self.decode(features), presence=self.presence(pooled))
