"""The U-Net that most PyTorch code means: Ronneberger et al., arXiv 1505.04597, with padding.

A 3x3 convolution of the image to as many channels; then at each resolution a block of twice
(convolution without bias, batch normalisation, ReLU), max-pooling down, a transposed convolution
up, and [up, skip] side by side. Widths double at each level. Weights of a network of this form that
was trained elsewhere keep their number and their shapes.

With `attention` each skip x passes an additive gate (Oktay et al., arXiv 1804.03999) at its own
resolution, driven by the up-sampled features g:

    gated = x sigmoid(n(psi(relu(n(theta(x)) + n(phi(g))))))

theta, phi and psi are 1x1 convolutions with a bias, n is batch normalisation, the inner width half
that of x.

How we differ: images that the poolings do not divide are padded and not cropped, and no activation
stands at the end, since losses and metrics here take logits. `delineate.models.UNet` is the other
form: strided convolutions and instance normalisation, in the topology of a plan.
"""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.any_size import check_axes, cut, padded
from delineate.models.batch_norm import NormRelu
from delineate.models.blocks import convolution, initialise, transposed

__all__ = ["Layer", "PlainUNet"]


class PlainUNet(nn.Module):
    """An encoder with max-pooling, a decoder and skips; in two or three dimensions.

    Args:
        spatial_dims: axes of an image.
        init_features: channels of the finest level; each coarser level has twice as many.
        depth: how often the resolution is halved.
        batch_norm: whether one follows each convolution; without it there are ReLUs alone.
        attention: whether the skips are gated.
        dropout: how likely a convolution's channel is silent while training.
        xavier: first weights by Glorot's rule instead of He's.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 2,
        init_features: int = 64,
        depth: int = 4,
        batch_norm: bool = False,
        attention: bool = False,
        dropout: float = 0.0,
        xavier: bool = False,
    ) -> None:
        super().__init__()
        if init_features < 1 or depth < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"{type(self).__name__}: init_features and depth are 1 or more and dropout lies in "
                f"[0, 1); got {init_features}, {depth}, {dropout}."
            )
        self.spatial_dims = spatial_dims
        ones, twos, threes = ((n,) * spatial_dims for n in (1, 2, 3))
        widths = [init_features * 2**level for level in range(depth + 1)]

        def block(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(
                Layer(before, after, spatial_dims, batch_norm=batch_norm, dropout=dropout),
                Layer(after, after, spatial_dims, batch_norm=batch_norm, dropout=dropout),
            )

        self.stem = convolution(in_channels, in_channels, threes, ones)
        self.encoder = nn.ModuleList(block(*pair) for pair in pairwise((in_channels, *widths)))
        self.up = nn.ModuleList(transposed(wide, fine, twos) for fine, wide in pairwise(widths))
        self.gates = nn.ModuleList(
            Gate(width, spatial_dims, batch_norm=batch_norm)
            for width in (widths[:-1] if attention else ())
        )
        self.decoder = nn.ModuleList(block(2 * width, width) for width in widths[:-1])
        self.head = convolution(init_features, out_channels, ones, ones)
        initialise(self)
        if xavier:
            self.apply(_glorot)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution, of an image of any size."""
        check_axes(image, self.spatial_dims, type(self).__name__)
        whole = padded(image, (2 ** len(self.up),) * self.spatial_dims)
        x = self.stem(whole)
        skips: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            if level:
                skips.append(x)
                x = _pool(x)
            x = stage(x)
        for level in reversed(range(len(skips))):
            up, skip = self.up[level](x), skips[level]
            if self.gates:
                skip = self.gates[level](skip, up)
            x = self.decoder[level](torch.cat((up, skip), dim=1))
        return cut(Output(logits=self.head(x)), image, whole)


class Layer(nn.Module):
    """A 3x3 convolution without bias, batch normalisation if asked for, ReLU, channel dropout."""

    def __init__(
        self, in_channels: int, out_channels: int, dims: int, *, batch_norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.convolution = convolution(
            in_channels, out_channels, (3,) * dims, (1,) * dims, bias=False
        )
        self.norm = NormRelu(out_channels) if batch_norm else None
        self.dropout = {2: nn.Dropout2d, 3: nn.Dropout3d}[dims](dropout)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """Features of the same resolution."""
        x = self.convolution(x)
        return self.dropout(F.relu_(x) if self.norm is None else self.norm(x))


class Gate(nn.Module):
    """Weighs a skip, voxel by voxel, by the up-sampled features beside it."""

    def __init__(self, channels: int, dims: int, *, batch_norm: bool) -> None:
        super().__init__()
        ones, inner = (1,) * dims, max(1, channels // 2)

        def point(before: int, after: int) -> nn.Sequential:
            norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
            linear = convolution(before, after, ones, ones)
            return nn.Sequential(linear, norm(after)) if batch_norm else nn.Sequential(linear)

        self.theta = point(channels, inner)
        self.phi = point(channels, inner)
        self.psi = point(inner, 1)

    def forward(
        self, skip: Float[Tensor, "b c *s"], coarse: Float[Tensor, "b c *s"]
    ) -> Float[Tensor, "b c *s"]:
        """The skip, each voxel times a number between 0 and 1."""
        return skip * self.psi(F.relu_(self.theta(skip) + self.phi(coarse))).sigmoid()


def _pool(x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *r"]:
    return F.max_pool2d(x, 2) if x.dim() == 4 else F.max_pool3d(x, 2)


def _glorot(part: nn.Module) -> None:
    if isinstance(part, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        nn.init.xavier_uniform_(part.weight)
