"""DUCK-Net: Dumitru et al., Scientific Reports 13, 9803 (2023), arXiv 2311.02239.

At each resolution one block looks at its input in six ways at once and adds what they find:

    D(x) = n(W(n(x)) + M(n(x)) + R(n(x)) + R(R(n(x))) + R(R(R(n(x)))) + S(n(x)))

W and M are three and two 3x3 convolutions of growing dilation, R is a residual block of two 3x3
convolutions beside a 1x1, S convolves along one axis after the other with a kernel of 6. Behind
each convolution of these come a ReLU and then the normalisation n. Beside the encoder the image
itself goes down by strided convolutions alone, and is added at every resolution; the coarsest has
four residual blocks. The way up repeats voxels and adds the skip.

With `use_multiplier` every sum is a mean of its terms, as some implementations have it.

How we differ: the kernel of 6 has a convolution per axis in 3-D; epsilon and momentum of the batch
normalisation are PyTorch's; He's rule draws from a normal distribution; images of any size are
padded; the result is logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.any_size import check_axes, cut, padded
from delineate.models.batch_norm import NormRelu, recomputed
from delineate.models.blocks import convolution, initialise
from delineate.models.norm import NormAct

__all__ = ["DUCKNet"]

SEPARATED = 6
"""Kernel of the convolutions along one axis."""
Normalization = Literal["batch", "instance"] | None


class DUCKNet(nn.Module):
    """Six views at each of `depth` resolutions; in two or three dimensions.

    Args:
        spatial_dims: axes of an image.
        init_features: channels of the finest level, 17 or 34 as published; coarser ones double.
        depth: how often the resolution is halved.
        normalization: behind each convolution; None is none.
        interpolation: on the way up.
        use_multiplier: whether each sum is divided by the number of its terms.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 2,
        init_features: int = 17,
        depth: int = 5,
        normalization: Normalization = "batch",
        interpolation: Literal["nearest", "linear"] = "nearest",
        use_multiplier: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if init_features < 1 or depth < 1:
            raise ValueError(
                f"DUCKNet: init_features and depth are 1 or more; got {init_features}, {depth}."
            )
        self.spatial_dims = spatial_dims
        linear = {2: "bilinear", 3: "trilinear"}[spatial_dims]
        self.interpolation = {"nearest": "nearest", "linear": linear}[interpolation]
        self.scale = 0.5 if use_multiplier else 1.0
        self.checkpointing = checkpointing
        ones, twos = (1,) * spatial_dims, (2,) * spatial_dims
        view = Views(spatial_dims, normalization, use_multiplier)
        widths = [init_features * 2**level for level in range(depth + 1)]
        fine, deepest = widths[:-1], widths[-1]
        self.pyramid = nn.ModuleList(
            _halving(before, after, twos) for before, after in pairwise((in_channels, *widths[1:]))
        )
        self.encoder = nn.ModuleList(
            Duck(before, after, view)
            for before, after in zip((in_channels, *fine[1:]), fine, strict=True)
        )
        self.down = nn.ModuleList(_halving(a, b, twos) for a, b in pairwise(widths))
        self.bottleneck = nn.Sequential(
            Residual(deepest, deepest, view),
            Residual(deepest, deepest, view),
            Residual(deepest, fine[-1], view),
            Residual(fine[-1], fine[-1], view),
        )
        self.decoder = nn.ModuleList(
            Duck(width, after, view)
            for width, after in zip(fine, (fine[0], *fine[:-1]), strict=True)
        )
        self.head = convolution(init_features, out_channels, ones, ones)
        initialise(self)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution, of an image of any size."""
        check_axes(image, self.spatial_dims, "DUCKNet")
        whole = padded(image, (2 ** len(self.down),) * self.spatial_dims)
        x = bare = whole
        skips: list[Tensor] = []
        for views, down, pyramid in zip(self.encoder, self.down, self.pyramid, strict=True):
            skips.append(self._run(views, x))
            bare = pyramid(bare)
            x = (down(skips[-1]) + bare) * self.scale
        x = self._run(self.bottleneck, x)
        for views, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            risen = F.interpolate(x, size=skip.shape[2:], mode=self.interpolation)
            x = self._run(views, (risen + skip) * self.scale)
        return cut(Output(logits=self.head(x)), image, whole)

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        return recomputed(stage, x) if self.checkpointing else stage(x)


@dataclass(frozen=True, slots=True)
class Views:
    """What all blocks of one network share: its axes, its normalisation, sums or means."""

    dims: int
    normalization: Normalization
    means: bool

    def norm(self, channels: int) -> nn.Module:
        """A normalisation without an activation; nothing where none is asked for."""
        if self.normalization is None:
            return nn.Identity()
        return BatchNorm(channels) if self.normalization == "batch" else NormAct(channels, slope=1)

    def layers(
        self, before: int, after: int, kernels: Sequence[Sequence[int]], dilations: Sequence[int]
    ) -> nn.Sequential:
        """So many convolutions, each with its ReLU and normalisation."""
        inner = (before, *(after for _ in kernels[1:]))
        return nn.Sequential(
            *(
                nn.Sequential(SameSize(width, after, kernel, dilation), self.norm(after))
                for width, kernel, dilation in zip(inner, kernels, dilations, strict=True)
            )
        )


class Duck(nn.Module):
    """Six views of the normalised input, added and normalised."""

    def __init__(self, before: int, after: int, view: Views) -> None:
        super().__init__()
        threes = (3,) * view.dims
        along = [
            tuple(SEPARATED if axis == long else 1 for axis in range(view.dims))
            for long in reversed(range(view.dims))
        ]
        self.enter = view.norm(before)
        self.wide = view.layers(before, after, (threes,) * 3, (1, 2, 3))
        self.middle = view.layers(before, after, (threes,) * 2, (1, 2))
        self.residuals = nn.ModuleList(
            nn.Sequential(
                Residual(before, after, view),
                *(Residual(after, after, view) for _ in range(more)),
            )
            for more in range(3)
        )
        self.separated = view.layers(before, after, along, (1,) * view.dims)
        self.leave = view.norm(after)
        self.scale = 1 / 6 if view.means else 1.0

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """Features of the same resolution."""
        x = self.enter(x)
        total = self.wide(x)
        for view in (self.middle, *self.residuals, self.separated):
            total = total + view(x)
        return self.leave(total * self.scale)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a 1x1 with a ReLU, added and normalised."""

    def __init__(self, before: int, after: int, view: Views) -> None:
        super().__init__()
        self.layers = view.layers(before, after, ((3,) * view.dims,) * 2, (1, 1))
        self.shortcut = SameSize(before, after, (1,) * view.dims, 1)
        self.leave = view.norm(after)
        self.scale = 0.5 if view.means else 1.0

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """Features of the same resolution."""
        return self.leave((self.layers(x) + self.shortcut(x)) * self.scale)


class SameSize(nn.Module):
    """A convolution of any kernel that keeps the size, and a ReLU.

    An even kernel reaches one voxel further towards the end than towards the beginning.
    """

    def __init__(self, before: int, after: int, kernel: Sequence[int], dilation: int) -> None:
        super().__init__()
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
        reach = [dilation * (size - 1) // 2 if size % 2 else 0 for size in kernel]
        self.ends = [
            end
            for size in reversed(kernel)
            for end in ((0, 0) if size % 2 else ((size - 1) // 2, size // 2))
        ]
        self.convolution = kind(before, after, tuple(kernel), padding=reach, dilation=dilation)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """Features of the same size."""
        return F.relu_(self.convolution(F.pad(x, self.ends) if any(self.ends) else x))


class BatchNorm(NormRelu):
    """The normalisation without its ReLU, which stands before it here."""

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """The normalised features."""
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training and x.numel() > x.shape[1],
            momentum=self.momentum,
        )


def _halving(before: int, after: int, twos: Sequence[int]) -> nn.Module:
    kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(twos)]
    return kind(before, after, tuple(twos), tuple(twos))
