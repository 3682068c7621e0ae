"""Attention U-Net: Oktay et al., arXiv 1804.03999, with the additive gates of its authors' code.

A gate weighs a skip x by what the next coarser decoder stage g has seen:

    a = up(sigmoid(psi(relu(theta(x) + phi(g))))),    gated = norm(w(a x))

theta strides x down to the grid of g and has no bias; phi, psi and w have a kernel of 1 and a bias;
psi ends in one channel; up interpolates linearly. All inner widths are that of x. As in the paper
the finest skip has no gate: its features do not yet tell much of what they show. All else is our
UNet, in the topology of the plan.

How we differ: instance normalisation and leaky ReLUs in place of batch normalisation and ReLUs (the
batches are small); transposed convolutions on the way up; the gating signal of the coarsest stage
is the stage itself, without a convolution of its own; coarser logits go to the loss one by one and
are not merged. MONAI's variant gates at the skip's own resolution, after the up-sampling.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution, initialise
from delineate.models.norm import NormAct
from delineate.models.unet import UNet

__all__ = ["AttentionUNet"]


class AttentionUNet(UNet):
    """A U-Net whose skips, but the finest, pass an attention gate; two or three dimensions.

    Args:
        strides: per stage, the stride on entering it; the first is all ones.
        kernels: per stage, the kernel of all its convolutions.
        convolutions: per stage, how many convolutions; the decoder has as many as the encoder.
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
        if len(features) < 3:
            raise ValueError(
                "AttentionUNet: needs at least three stages, as the finest skip has no gate; "
                f"got {len(features)}. Fix: a larger patch, or UNet."
            )
        self.gates = nn.ModuleList(
            Gate(features[i], features[i + 1], strides[i + 1]) for i in range(1, len(features) - 1)
        )
        initialise(self.gates)

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarse features, up-sampled, and the gated skip beside them."""
        if stage > 0:
            skip = self.gates[stage - 1](skip, coarse)
        return super().join(stage, coarse, skip)


class Gate(nn.Module):
    """Weighs a skip, voxel by voxel, by the coarser features that lie `stride` apart."""

    def __init__(self, channels: int, coarse_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        ones, steps = (1,) * len(stride), tuple(stride)
        strided = {2: nn.Conv2d, 3: nn.Conv3d}[len(steps)]
        self.theta = strided(channels, channels, steps, steps, bias=False)
        self.phi = convolution(coarse_channels, channels, ones, ones)
        self.psi = convolution(channels, 1, ones, ones)
        self.out = nn.Sequential(
            convolution(channels, channels, ones, ones), NormAct(channels, slope=1)
        )

    def forward(
        self, skip: Float[Tensor, "b c *s"], coarse: Float[Tensor, "b d *r"]
    ) -> Float[Tensor, "b c *s"]:
        """The skip where it matters."""
        return self.out(skip * self.attention(skip, coarse))

    def attention(
        self, skip: Float[Tensor, "b c *s"], coarse: Float[Tensor, "b d *r"]
    ) -> Float[Tensor, "b 1 *s"]:
        """The weight of each voxel of the skip, from 0 to 1."""
        weight = self.psi(F.relu_(self.theta(skip) + self.phi(coarse))).sigmoid()
        mode = "bilinear" if skip.dim() == 4 else "trilinear"
        return F.interpolate(weight, size=skip.shape[2:], mode=mode)
