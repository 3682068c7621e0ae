"""A U-Net whose encoder is a ResNet, so that weights trained on other pictures can segment.

The image is the finest stage; the ResNet's stem, its pooled layer 1 and its layers 2, 3 and 4 are
the next five, with the plan's strides. A plan of fewer stages puts the last layers together at its
coarsest one; more than six stages are not used. The decoder is the plain U-Net's. The encoder's
weights are torchvision's and RadImageNet's under `encoder.`.

How we differ from segmentation_models_pytorch, which has the same encoder: transposed convolutions
instead of nearest neighbours, instance normalisation in the decoder, and the image itself a skip.
"""

from collections.abc import Sequence
from math import sqrt

from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution, initialise, stack, transposed
from delineate.models.encoder_decoder import EncoderDecoder, check_stages
from delineate.models.resnet import MOMENTUM, Depth, ResNetEncoder

__all__ = ["ResNetUNet"]

STAGES = 6
"""The image and the five maps of a ResNet."""


class ResNetUNet(EncoderDecoder):
    """A ResNet and a decoder with skip connections; two or three dimensions by `strides`.

    Args:
        features: per stage, the decoder's width; the coarsest is the ResNet's own.
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of the decoder's convolutions; the ResNet's are its own.
        convolutions: per stage, how many the decoder has.
        depth: of the ResNet: 18, 34, 50 or 101 layers.
        deep_supervision: while training, also return logits of every coarser decoder stage.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    encoder: ResNetEncoder
    """No list of stages, as elsewhere: its weights keep their published names; see `encode`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        convolutions: Sequence[int],
        depth: Depth = 50,
        deep_supervision: bool = False,
        checkpointing: bool = False,
    ) -> None:
        check_stages(
            "ResNetUNet",
            features=features,
            strides=strides,
            kernels=kernels,
            convolutions=convolutions,
        )
        super().__init__(strides[:STAGES], checkpointing=checkpointing)
        ones = (1,) * len(strides[0])
        steps = [*strides[1:STAGES], *(ones for _ in range(STAGES - len(strides)))]
        # Recomputing moves the running figures a second time; two such moves are one of MOMENTUM.
        momentum = 1 - sqrt(1 - MOMENTUM) if checkpointing else MOMENTUM
        self.encoder = ResNetEncoder(  # pyright: ignore[reportIncompatibleVariableOverride]
            in_channels, depth=depth, strides=steps, momentum=momentum
        )
        stages = range(min(len(strides), STAGES) - 1)
        skips = (in_channels, *self.encoder.widths)
        below = (*features[1 : len(stages)], self.encoder.widths[-1])
        self.up = nn.ModuleList(transposed(below[i], features[i], steps[i]) for i in stages)
        self.decoder = nn.ModuleList(
            stack(features[i] + skips[i], features[i], kernels[i], ones, convolutions[i])
            for i in stages
        )
        self.heads = nn.ModuleList(
            convolution(features[i], out_channels, ones, ones)
            for i in (stages if deep_supervision else stages[:1])
        )
        for part in (self.up, self.decoder, self.heads):
            initialise(part)

    def encode(self, image: Float[Tensor, "b c *s"]) -> list[Tensor]:
        """The image, and the ResNet's features of every further stage, finest first."""
        x = self._enter(image)
        features = [x]
        for stage in self.encoder.stages():
            x = self._run(stage, x)
            # Layers beyond the coarsest stage deepen it.
            features[len(self.decoder) :] = []
            features.append(x)
        return features
