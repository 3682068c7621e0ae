"""D-Former: Wu et al., arXiv 2201.00462, a U-shaped transformer with dilated groups.

Patches become tokens, four stages down merge blocks of 2 tokens per axis, three stages up double
the resolution and take in what entered the encoder's stage of that resolution. A stage adds a
depth-wise convolution of 3, which tells positions, then its blocks attend in local and global
groups by turns (`dformer_attention`). Three heads give logits (`dformer_head`). What changes the
grid is in `dformer_tokens`.

How we differ; the function and the weights are the same where the published form is well-defined:

- Any size: the image is padded with zeros to whole patches, an odd grid by one token before it is
  merged, and what is too much is cut off again. No token of padding takes part in attention.
- The network keeps nothing from one image to the next, and has as many outputs as there are labels.
- Skips are joined by two products instead of one over a concatenation, normalisations come before
  tokens are spread in space, and heads never hold their features at full resolution.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from delineate.contracts import Output
from delineate.models.dformer_attention import Block, make_groups, moved
from delineate.models.dformer_head import Head
from delineate.models.dformer_tokens import Embed, Merge, Position, Up

__all__ = ["DFormer"]

HEADS = 3
"""Resolutions with logits: full, half, and quarter."""
SPREAD = 0.02
"""Standard deviation of the matrices at the start."""


class DFormer(nn.Module):
    """Logits from local and global attention, in two or three dimensions.

    Args:
        embed_dim: channels of the finest stage; each coarser one has twice as many.
        depths: blocks of each stage, the finest first; the decoder has the same.
        num_heads: of each stage's attention.
        patch_size: voxels of a token along each axis; of three numbers 2-D takes the last two.
        group_size: tokens of a group along each axis, at most; likewise.
        mlp_ratio: channels inside of a perceptron, as a multiple of the stage's.
        drop_path: how likely the deepest blocks are passed by in training; it rises from 0.
        deep_supervision: while training, also return logits at half and a quarter of the image.
        checkpointing: recompute each block in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 3,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        patch_size: Sequence[int] = (2, 4, 4),
        group_size: Sequence[int] = (2, 8, 8),
        mlp_ratio: float = 4,
        drop_path: float = 0.0,
        deep_supervision: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        patch = _per_axis("patch_size", patch_size, spatial_dims)
        group = _per_axis("group_size", group_size, spatial_dims)
        widths = [embed_dim * 2**stage for stage in range(len(depths))]
        _check_stages(widths, depths, num_heads)
        last = len(depths) - 1
        steepness = drop_path / max(1, sum(depths) - 1)

        def stage(i: int) -> Stage:
            blocks = [
                Block(widths[i], num_heads[i], ratio=mlp_ratio, drop_path=steepness * number)
                for number in range(sum(depths[:i]), sum(depths[: i + 1]))
            ]
            return Stage(widths[i], blocks, group, checkpointing=checkpointing)

        self.embed = Embed(in_channels, embed_dim, patch)
        self.encoder = nn.ModuleList(stage(i) for i in range(last + 1))
        self.merges = nn.ModuleList(Merge(width, spatial_dims) for width in widths[:-1])
        self.norm = nn.LayerNorm(widths[-1])
        self.up = nn.ModuleList(Up(width, spatial_dims) for width in widths[:-1])
        self.decoder = nn.ModuleList(stage(i) for i in range(last))
        self.last_norm = nn.LayerNorm(embed_dim)
        self.heads = nn.ModuleList(
            Head(width, out_channels, patch)
            for width in widths[: min(HEADS, last) if deep_supervision else 1]
        )
        _initialise(self)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits of the image's size, whatever it is, and while training the coarser ones too.

        These have half and a quarter of its voxels along each axis, rounded up.
        """
        dims = len(self.embed.patch)
        if image.dim() != dims + 2:
            raise ValueError(
                f"image: this DFormer takes {dims} spatial axes, got the shape "
                f"{tuple(image.shape)}. Fix: pass (b, c, {', '.join('ijk'[:dims])}), or another "
                "spatial_dims."
            )
        x = self.embed(image)
        skips = [x]
        for stage, merge in zip(self.encoder[:-1], self.merges, strict=True):
            x = merge(stage(x))
            skips.append(x)
        x = self.norm(self.encoder[-1](x))
        logits: list[Tensor] = []
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](self.up[i](x, skips[i]))
            if i == 0 or (self.training and i < len(self.heads)):
                found = self.heads[i](x if i else self.last_norm(x))
                logits.insert(0, _cut(found, [-(-n // 2**i) for n in image.shape[2:]]))
        return Output(logits=logits[0], deep=tuple(logits[1:]))


class Stage(nn.Module):
    """Positions by a depth-wise convolution, then blocks in local and global groups by turns."""

    def __init__(
        self, width: int, blocks: Sequence[Block], group: tuple[int, ...], *, checkpointing: bool
    ) -> None:
        super().__init__()
        self.group = group
        self.checkpointing = checkpointing
        self.position = Position(width, len(group))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Float[Tensor, "b *g c"]) -> Float[Tensor, "b *g c"]:
        """Tokens of the same grid."""
        x = self.position(x)
        grid = x.shape[1:-1]
        scopes = [
            make_groups(grid, self.group, dilated=dilated, device=x.device)
            for dilated in (False, True)
        ]
        tokens, order = x.flatten(1, -2), None
        for i, block in enumerate(self.blocks):
            scope = scopes[i % 2]
            tokens = self._run(block, moved(tokens, order, scope), scope.runs)
            order = scope
        return moved(tokens, order, None).view(x.shape)

    def _run(self, block: nn.Module, tokens: Tensor, runs: tuple[tuple[int, int], ...]) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, tokens, runs, use_reentrant=False)
        return block(tokens, runs)


def _per_axis(name: str, sizes: Sequence[int], dims: int) -> tuple[int, ...]:
    """One size for each axis; what is none is a ValueError."""
    if dims not in (2, 3):
        raise ValueError(f"DFormer: spatial_dims is {dims}. Fix: 2 or 3.")
    if not dims <= len(sizes) <= 3 or any(size < 1 for size in sizes):
        raise ValueError(
            f"DFormer: {name} is {tuple(sizes)}. Fix: {dims} numbers of at least 1, one an axis."
        )
    return tuple(sizes[-dims:])


def _check_stages(widths: Sequence[int], depths: Sequence[int], heads: Sequence[int]) -> None:
    if len(depths) < 2 or len(heads) != len(depths):
        raise ValueError(
            f"DFormer: depths has {len(depths)} entries and num_heads {len(heads)}. "
            "Fix: one of each for every stage, and two stages or more."
        )
    for width, count in zip(widths, heads, strict=True):
        if width % count:
            raise ValueError(
                f"DFormer: {count} heads cannot share the {width} channels of their stage. "
                "Fix: num_heads that divide embed_dim x (1, 2, 4, ...)."
            )


def _cut(x: Float[Tensor, "b k *s"], size: Sequence[int]) -> Float[Tensor, "b k *r"]:
    """Without what the padding of the image has become."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return x[(..., *(slice(n) for n in size))].contiguous()


def _initialise(network: nn.Module) -> None:
    """Matrices of a small normal distribution, biases of 0."""
    for part in network.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=SPREAD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
