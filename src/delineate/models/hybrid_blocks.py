"""The convolutional pieces of the hybrid network, made so that a network of them can grow.

Growing means: more channels, more blocks, more levels, gates, and at first the same function. So

- whatever mixes channels by a fixed rule does so within groups of a fixed width, of which a wider
  layer has more: convolutions in groups of 8 channels, norms of one;
- features are added, never put beside each other: the first n channels of a wider layer are the n
  of the narrower one, everywhere;
- a piece names its `silencers`: the weights that make it add nothing where they are zero, or, of a
  factor, make it exactly 1 = 2 sigmoid(0).

SE-ResNeXt block: Xie et al., arXiv 1611.05431, with the squeeze and excitation of Hu et al., arXiv
1709.01507, and norms in front as in He et al., arXiv 1603.05027:

    y = x + s(h) h,   h = C1(n(C3(n(C1(n(x)))))),   s(h) = 2 sigmoid(W2 l(W1 mean(h)))

l is a leaky ReLU, n instance normalisation and l, C3 has groups. How we differ: the published block
has its norms behind and a ReLU on the sum, which would not pass on what has been added to; its
factor is sigmoid, at most 1; of its few hidden units none can die.
"""

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution
from delineate.models.norm import NormAct

__all__ = ["GROUP", "Block", "Excitation", "Gate", "Rise", "silence"]

GROUP = 8
"""Channels of one group of a convolution."""
REDUCTION = 16
LEAST_HIDDEN = 4
"""Hidden units of an excitation: a sixteenth of its channels, but not fewer than these."""


class Excitation(nn.Module):
    """Weighs each channel by what all of them are on average."""

    silencers: ClassVar = ("spread.weight", "spread.bias")

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(LEAST_HIDDEN, channels // REDUCTION)
        self.gather = nn.Linear(channels, hidden)
        self.spread = nn.Linear(hidden, channels)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """Each channel times a number between 0 and 2."""
        mean_bc = x.flatten(2).mean(2)
        factor_bc = 2 * self.spread(F.leaky_relu_(self.gather(mean_bc))).sigmoid()
        return x * factor_bc.to(x.dtype).view(*factor_bc.shape, *(1 for _ in x.shape[2:]))


class Block(nn.Module):
    """An SE-ResNeXt block; one that changes the width has a 1x1 convolution for a shortcut."""

    silencers: ClassVar = ("leave.weight",)

    def __init__(self, in_channels: int, channels: int, dims: int, *, project: bool) -> None:
        super().__init__()
        ones = (1,) * dims
        grouped = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.norm = NormAct(in_channels)
        self.enter = convolution(in_channels, channels, ones, ones, bias=False)
        self.enter_norm = NormAct(channels)
        self.middle = grouped(
            channels, channels, 3, padding=1, groups=channels // GROUP, bias=False
        )
        self.middle_norm = NormAct(channels)
        self.leave = convolution(channels, channels, ones, ones, bias=False)
        self.excitation = Excitation(channels)
        self.shortcut = (
            convolution(in_channels, channels, ones, ones, bias=False) if project else None
        )

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """The features, and what the block finds in them."""
        normed = self.norm(x)
        inner = self.enter_norm(self.enter(normed))
        inner = self.middle_norm(self.middle(inner))
        branch = self.excitation(self.leave(inner))
        return branch + (x if self.shortcut is None else self.shortcut(normed))


class Rise(nn.Module):
    """Twice the resolution: a 1x1 convolution to the finer width, then each voxel repeated."""

    silencers: ClassVar = ("project.weight",)

    def __init__(self, in_channels: int, channels: int, dims: int) -> None:
        super().__init__()
        ones = (1,) * dims
        self.project = convolution(in_channels, channels, ones, ones, bias=False)

    def forward(self, x: Float[Tensor, "b c *r"]) -> Float[Tensor, "b d *s"]:
        """The features on the finer grid."""
        # Linear interpolation has a gradient on a GPU that differs from run to run.
        return F.interpolate(self.project(x), scale_factor=2, mode="nearest")


class Gate(nn.Module):
    """An additive attention gate at the skip's own resolution: Oktay et al., arXiv 1804.03999.

    gated = x 2 sigmoid(psi(l(theta(x) + phi(g)))), g the coarser features on the grid of x. How
    we differ: l is a leaky ReLU, the factor goes up to 2, and nothing is learned behind it.
    """

    silencers: ClassVar = ("psi.weight", "psi.bias")

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        ones = (1,) * dims
        self.theta = convolution(channels, channels // 2, ones, ones, bias=False)
        self.phi = convolution(channels, channels // 2, ones, ones)
        self.psi = convolution(channels // 2, 1, ones, ones)

    def forward(
        self, skip: Float[Tensor, "b c *s"], coarse: Float[Tensor, "b c *s"]
    ) -> Float[Tensor, "b c *s"]:
        """The skip, each voxel times a number between 0 and 2."""
        hidden = F.leaky_relu_(self.theta(skip) + self.phi(coarse))
        return skip * (2 * self.psi(hidden).sigmoid())


def silence(part: nn.Module) -> None:
    """Set a piece's silencers to zero."""
    for name in getattr(part, "silencers", ()):
        nn.init.zeros_(part.get_parameter(name))
