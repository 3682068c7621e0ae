"""ResNet: He et al., arXiv 1512.03385, 18 to 101 layers deep, in two and three dimensions.

Named and shaped as torchvision names it (conv1, bn1, layer1.0.conv1, ..., fc), the stride of a
bottleneck on its 3x3 convolution, so that torchvision's and RadImageNet's weights load unchanged.

How we differ: the strides are arguments, since they change no weight's shape.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.blocks import channels_last, convolution
from delineate.models.pointwise import thin

__all__ = ["ResNet", "ResNetEncoder"]

Depth = Literal[18, 34, 50, 101]
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
WIDTHS = (64, 128, 256, 512)
MOMENTUM = 0.1
"""How far one batch moves the running mean and variance."""


class Trunk(nn.Module):
    """Abstract: everything but what reads the features.

    Args:
        strides: of the stem, of the pooling behind it, and of layers 2, 3 and 4.
        stem: kernel of the first convolution.
        momentum: of the batch normalisations.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: Depth,
        strides: Sequence[Sequence[int]],
        stem: int = 7,
        momentum: float = MOMENTUM,
    ) -> None:
        super().__init__()
        dims = len(strides[0])
        first, self.pool, *others = (tuple(entry) for entry in strides)
        self.widths = (64, *(width * _growth(depth) for width in WIDTHS))
        """Channels of each map that `maps` returns."""
        self.conv1 = convolution(in_channels, 64, (stem,) * dims, first, bias=False)
        self.bn1 = _norm(64, dims)
        steps = ((1,) * dims, *others)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(depth, before, width, step, count)
            for (before, _), width, step, count in zip(
                pairwise(self.widths), WIDTHS, steps, BLOCKS[depth], strict=True
            )
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.momentum = momentum

    def stages(self) -> tuple[Callable[[Tensor], Tensor], ...]:
        """From the image to the stem's map, and from each map to the next coarser one."""
        return (self._enter, self._pooled, self.layer2, self.layer3, self.layer4)

    def maps(self, image: Float[Tensor, "b c *s"]) -> Iterator[Tensor]:
        """The features behind the stem and behind each layer, finest first."""
        # The fast CPU kernels are those for channels innermost.
        x = channels_last(image) if image.device.type == "cpu" else image
        for stage in self.stages():
            x = stage(x)
            yield x

    def _enter(self, image: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(image)), inplace=True)

    def _pooled(self, x: Tensor) -> Tensor:
        if any(step > 1 for step in self.pool):
            kernel = tuple(3 if step > 1 else 1 for step in self.pool)
            pool = F.max_pool2d if len(kernel) == 2 else F.max_pool3d
            x = pool(x, kernel, self.pool, padding=tuple(k // 2 for k in kernel))
        return self.layer1(x)


class ResNet(Trunk):
    """A classifier of whole images of any size; its logits are `Output.presence`.

    Args:
        out_channels: classes of the image.
        stem: "large" is a 7x7 with stride 2 and a max-pooling, as published; "small" is a 3x3
            without stride or pooling, for images of less than about 64 voxels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3],
        depth: Depth = 50,
        stem: Literal["large", "small"] = "large",
    ) -> None:
        ones, twos = (1,) * spatial_dims, (2,) * spatial_dims
        entry = {"large": (twos, twos), "small": (ones, ones)}[stem]
        kernel = {"large": 7, "small": 3}[stem]
        super().__init__(in_channels, depth=depth, strides=(*entry, twos, twos, twos), stem=kernel)
        self.fc = nn.Linear(self.widths[-1], out_channels)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits of the image's classes; no mask."""
        *_, coarsest = self.maps(image)
        return Output(logits=None, presence=self.fc(coarsest.flatten(2).mean(2)))


class ResNetEncoder(Trunk):
    """The features of five resolutions, for a decoder; its weights are ResNet's without fc."""

    def forward(self, image: Float[Tensor, "b c *s"]) -> list[Tensor]:
        """The map behind the stem and those behind the four layers, finest first."""
        return list(self.maps(image))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual, of 18 and 34 layers."""

    def __init__(
        self, in_channels: int, width: int, stride: Sequence[int], shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        dims = len(stride)
        self.stride = tuple(stride)
        self.conv1 = convolution(in_channels, width, (3,) * dims, stride, bias=False)
        self.bn1 = _norm(width, dims)
        self.conv2 = convolution(width, width, (3,) * dims, (1,) * dims, bias=False)
        self.bn2 = _norm(width, dims)
        self.downsample = shortcut

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """Features at 1 / stride of the resolution."""
        residual = x if self.downsample is None else self.downsample(thin(x, self.stride))
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        return F.relu(x + residual, inplace=True)


class Bottleneck(nn.Module):
    """1x1 to `width`, 3x3, 1x1 to four times `width`, and a residual, of 50 and 101 layers."""

    def __init__(
        self, in_channels: int, width: int, stride: Sequence[int], shortcut: nn.Module | None
    ) -> None:
        super().__init__()
        dims = len(stride)
        ones = (1,) * dims
        self.stride = tuple(stride)
        self.conv1 = convolution(in_channels, width, ones, ones, bias=False)
        self.bn1 = _norm(width, dims)
        self.conv2 = convolution(width, width, (3,) * dims, stride, bias=False)
        self.bn2 = _norm(width, dims)
        self.conv3 = convolution(width, 4 * width, ones, ones, bias=False)
        self.bn3 = _norm(4 * width, dims)
        self.downsample = shortcut

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """Features at 1 / stride of the resolution."""
        residual = x if self.downsample is None else self.downsample(thin(x, self.stride))
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x))
        return F.relu(x + residual, inplace=True)


def _layer(
    depth: Depth, in_channels: int, width: int, stride: Sequence[int], count: int
) -> nn.Sequential:
    """So many blocks; the first carries the stride, and a projection where the width changes."""
    block = BasicBlock if depth < 50 else Bottleneck
    out_channels = width * _growth(depth)
    ones = (1,) * len(stride)
    shortcut = None
    if in_channels != out_channels:
        plain = convolution(in_channels, out_channels, ones, ones, bias=False)
        shortcut = nn.Sequential(plain, _norm(out_channels, len(stride)))
    first = block(in_channels, width, stride, shortcut)
    rest = (block(out_channels, width, ones, None) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def _growth(depth: Depth) -> int:
    """Channels that a block puts out, in multiples of its width."""
    return 1 if depth < 50 else 4


def _norm(channels: int, dims: int) -> nn.BatchNorm2d | nn.BatchNorm3d:
    return {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims](channels)
