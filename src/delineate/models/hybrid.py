"""Hybrid CNN-transformer: a U-Net of SE-ResNeXt blocks, attention gates and transformer blocks.

Level i has a stride of 2^i and min(512, base_filters 2^i) channels; `depth` is the coarsest. Going
down, each level is a max-pool, SE-ResNeXt blocks, and from level 2 on (the two coarsest above the
last, and the last, of the default depth of 4) transformer blocks. Going up, features rise to the
finer grid, the gated skip is added, and as many blocks follow as on the way down. The pieces and
their papers are in `hybrid_blocks` and `hybrid_transformer`.

A level is named by its resolution, and every piece is one that can be silent, so a trained network
is the start of a wider or deeper one, of one with gates or with transformer blocks, that computes
the same until it is trained on: see `engine.growth`, and Net2Net (Chen et al., arXiv 1511.05641).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.any_size import check_axes, cut, padded
from delineate.models.blocks import convolution, initialise
from delineate.models.encoder_decoder import EncoderDecoder, deepened
from delineate.models.hybrid_blocks import GROUP, Block, Excitation, Gate, Rise, silence
from delineate.models.hybrid_transformer import TransformerBlock
from delineate.models.norm import NormAct

__all__ = ["STAGES", "HybridCNNTransformer"]

WIDEST = 512
FIRST_TRANSFORMER = 2
"""The finest level with transformer blocks."""
LEAST_COARSE = 2
"""Voxels along each axis of the coarsest level: the norm of a single one is zero."""

STAGES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "stage1_basic": {
            "base_filters": 16,
            "depth": 3,
            "blocks": (1, 2, 4, 4),
            "attention": False,
            "transformer": False,
        },
        "stage2_attention": {
            "base_filters": 24,
            "depth": 4,
            "blocks": (1, 2, 4, 4, 1),
            "attention": True,
            "transformer": False,
        },
        "stage3_hybrid_small": {
            "base_filters": 32,
            "depth": 4,
            "blocks": (1, 2, 4, 4, 2),
            "attention": True,
            "transformer": True,
        },
        "stage4_hybrid_full": {
            "base_filters": 48,
            "depth": 4,
            "blocks": (1, 2, 4, 6, 6),
            "attention": True,
            "transformer": True,
            "transformer_depth": 2,
        },
    }
)
"""Arguments of the four documented networks, of about 0.5, 2, 8 and 22 million weights; each can
grow into the next."""


class HybridCNNTransformer(EncoderDecoder):
    """Logits of images of any size, in two or three dimensions.

    Args:
        base_filters: channels at full resolution, a multiple of 8; each level has twice as many.
        depth: how often the resolution is halved.
        blocks: SE-ResNeXt blocks per level, finest first; deeper ones have as many as the last.
        attention: gates on the skips.
        transformer: transformer blocks from level 2 (a stride of 4) on.
        transformer_depth: how many a level.
        dropout: in the transformer blocks, and of whole channels at the coarsest level.
        deep_supervision: while training, also return logits of every coarser level.
        checkpointing: recompute each level in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 3,
        base_filters: int = 32,
        depth: int = 4,
        blocks: Sequence[int] = (1, 2, 4, 4, 2),
        attention: bool = True,
        transformer: bool = True,
        transformer_depth: int = 1,
        dropout: float = 0.1,
        deep_supervision: bool = True,
        checkpointing: bool = False,
    ) -> None:
        _check(base_filters, depth, blocks, transformer=transformer)
        dims, ones = spatial_dims, (1,) * spatial_dims
        super().__init__((ones, *((2,) * dims,) * depth), checkpointing=checkpointing)
        counts = deepened(blocks, depth + 1)
        widths = [min(WIDEST, base_filters * 2**level) for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            Level(
                widths[level - 1] if level else in_channels,
                widths[level],
                dims,
                level=level,
                blocks=counts[level],
                transformers=transformer_depth if transformer and level >= FIRST_TRANSFORMER else 0,
                dropouts=(dropout if level == depth else 0.0, dropout),
            )
            for level in range(depth + 1)
        )
        self.up = nn.ModuleList(
            Rise(widths[level + 1], widths[level], dims) for level in range(depth)
        )
        self.gates = nn.ModuleList(Gate(widths[i], dims) for i in range(depth) if attention)
        self.decoder = nn.ModuleList(
            nn.Sequential(*(Block(width, width, dims, project=False) for _ in range(count)))
            for width, count in zip(widths[:-1], counts[:-1], strict=True)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(NormAct(widths[i]), convolution(widths[i], out_channels, ones, ones))
            for i in range(depth if deep_supervision else 1)
        )
        initialise(self)
        for part in self.modules():
            if isinstance(part, Excitation | Gate):
                silence(part)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution; coarser ones too while training.

        An image that the levels do not divide is padded with its last voxels.
        """
        check_axes(image, len(self.divisor), "HybridCNNTransformer")
        whole = padded(image, self.divisor, least=LEAST_COARSE)
        return cut(super().forward(whole), image, whole)

    def join(self, stage: int, coarse: Tensor, skip: Tensor) -> Tensor:
        """The coarser features on the finer grid, plus the gated skip."""
        risen = self.up[stage](coarse)
        return risen + (self.gates[stage](skip, risen) if len(self.gates) else skip)


class Level(nn.Module):
    """One resolution on the way down.

    Args:
        dropouts: of whole channels behind the blocks, and in the transformer blocks.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dims: int,
        *,
        level: int,
        blocks: int,
        transformers: int,
        dropouts: tuple[float, float],
    ) -> None:
        super().__init__()
        three, ones = (3,) * dims, (1,) * dims
        pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dims]
        of_channels = {2: nn.Dropout2d, 3: nn.Dropout3d}[dims]
        self.enter = (
            pool(2) if level else convolution(in_channels, channels, three, ones, bias=False)
        )
        widths = (in_channels if level else channels, *(channels,) * (blocks - 1))
        self.blocks = nn.ModuleList(
            # Also where the width is at its widest: with fewer base filters it would not be.
            Block(width, channels, dims, project=level > 0 and i == 0)
            for i, width in enumerate(widths)
        )
        self.dropout = of_channels(dropouts[0])
        self.transformers = nn.ModuleList(
            TransformerBlock(channels, dims, level=level, dropout=dropouts[1])
            for _ in range(transformers)
        )

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *r"]:
        """The features of this level from those of the finer one, or from the image."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        x = self.dropout(x)
        for block in self.transformers:
            x = block(x)
        return x


def _check(base_filters: int, depth: int, blocks: Sequence[int], *, transformer: bool) -> None:
    """Raise a ValueError where the arguments contradict themselves."""
    if base_filters < GROUP or base_filters % GROUP:
        raise ValueError(
            f"HybridCNNTransformer: base_filters must be a multiple of {GROUP}, the width of its "
            f"groups; got {base_filters}."
        )
    if depth < 1:
        raise ValueError(f"HybridCNNTransformer: depth must be at least 1; got {depth}.")
    if not blocks or min(blocks) < 1:
        raise ValueError(
            f"HybridCNNTransformer: blocks must be at least 1 a level; got {tuple(blocks)}."
        )
    if transformer and depth < FIRST_TRANSFORMER:
        raise ValueError(
            f"HybridCNNTransformer: transformer blocks stand from level {FIRST_TRANSFORMER} on, "
            f"but depth is {depth}. Fix: depth={FIRST_TRANSFORMER}, or transformer=false."
        )
