"""From tokens and the image to logits, narrow where the grid is fine.

Tokens say what is where to within a patch; the outlines are in the image. So the image goes down
through convolutions to the tokens' own grid, each halving of the grid doubling the channels. What
is found there is added to the tokens before attention, and once more behind it; on the way up the
features of each level are added, as in a U-Net.

On every level, the coarser ones while training only, every voxel f asks the nodes h of the graph by
attention, and the score of a voxel and a structure's own node is part of the logit of that
structure:

    q = Q f,   s_m = q . K h_m / sqrt(c),   logits_k = w_k . (f + softmax(s) V h) + b_k + s_m(k)

So what the graph says differs from voxel to voxel, and a node is tied to the structure that it is
named after. How we differ from the documented head, which `vit_gnn_raster` keeps: that one
interpolates all 768 channels of the tokens to full resolution, and sees nothing else of the image.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from delineate.contracts import Output
from delineate.models.blocks import (
    ConvBlock,
    channels_last,
    convolution,
    initialise,
    stack,
    transposed,
)
from delineate.models.hybrid_transformer import attend
from delineate.models.vit_gnn_graph import NucleiGraph

__all__ = ["Ask", "Head", "run"]


class Head(nn.Module):
    """Logits at the image's resolution.

    Args:
        embed_dim: channels of a token.
        width: channels at full resolution.
        levels: how often the grid is halved until it is that of the tokens.
        graph: what the voxels ask; None for no graph.
        deep_supervision: while training, also give logits of every coarser level.
        checkpointing: recompute each level in the backward pass.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dims: int,
        *,
        embed_dim: int,
        width: int,
        levels: int,
        graph: NucleiGraph | None,
        deep_supervision: bool,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        three, two, one = (3,) * dims, (2,) * dims, (1,) * dims
        widths = [width * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            stack(before, after, three, two if i else one, 2)
            for i, (before, after) in enumerate(
                zip((in_channels, *widths), widths[:-1], strict=False)
            )
        )
        # No normalisation: there may be a single token.
        self.deepest = convolution(widths[-2], widths[-1], three, two)
        self.tell = nn.Linear(widths[-1], embed_dim)
        self.bottom = nn.Linear(embed_dim, widths[-1])
        self.up = nn.ModuleList(Up(widths[i + 1], widths[i], dims) for i in range(levels))
        self.graph = graph
        self.read = nn.ModuleList(
            _reader(width, out_channels, graph)
            for width in widths[: levels if deep_supervision else 1]
        )
        initialise(self)

    def look(self, image: Float[Tensor, "b c *s"]) -> list[Tensor]:
        """Features of an image that the tokens' patches divide, from full resolution to tokens."""
        on_cpu = image.device.type == "cpu" and image.dim() == 5
        x = channels_last(image) if on_cpu else image
        found: list[Tensor] = []
        for level in self.down:
            x = self._run(level, x)
            found.append(x)
        return [*found, self.deepest(x)]

    def forward(self, features: Sequence[Tensor], tokens: Float[Tensor, "b *g e"]) -> Output:
        """Logits at full resolution, and those of coarser levels where they are trained."""
        *skips, x = features
        x = x + self.bottom(tokens).movedim(-1, 1)
        told = ()
        if self.graph is not None:
            told = (self.graph(tokens.flatten(1, -2)), self.graph.channels)
        logits: list[Tensor] = []
        for i in reversed(range(len(self.up))):
            x = self._run(self.up[i], x, skips[i])
            if i == 0 or (self.training and i < len(self.read)):
                logits.insert(0, self._run(self.read[i], x, *told))
        return Output(logits=logits[0], deep=tuple(logits[1:]))

    def _run(self, stage: nn.Module, *inputs: Tensor) -> Any:
        return run(stage, *inputs, checkpointing=self.checkpointing)


class Up(nn.Module):
    """Double the resolution, add the features of the image there, then a convolution."""

    def __init__(self, coarse: int, fine: int, dims: int) -> None:
        super().__init__()
        self.up = transposed(coarse, fine, (2,) * dims)
        self.convolution = ConvBlock(fine, fine, (3,) * dims, (1,) * dims)

    def forward(
        self, x: Float[Tensor, "b c *r"], skip: Float[Tensor, "b d *s"]
    ) -> Float[Tensor, "b d *s"]:
        """Features at the skip's resolution."""
        return self.convolution(self.up(x) + skip)


class Read(nn.Module):
    """Logits of voxels that ask no one."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.classes = nn.Linear(width, out_channels)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b k *s"]:
        """Logits in whole planes, whatever the layout of x."""
        return self.read(x.flatten(2)).unflatten(2, x.shape[2:])

    def read(self, voxels: Float[Tensor, "b c n"]) -> Float[Tensor, "b k n"]:
        """A product from the left leaves the voxels innermost."""
        rows = self.classes.weight.expand(voxels.shape[0], -1, -1)
        return torch.baddbmm(self.classes.bias[:, None], rows, voxels)


class Ask(nn.Module):
    """Logits of voxels that ask the nodes of a graph."""

    def __init__(self, width: int, out_channels: int, *, node_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        # A bias of keys has no effect on a softmax, one of values that of the classes.
        self.key_value = nn.Linear(node_width, 2 * width, bias=False)
        self.reading = Read(width, out_channels)

    def forward(
        self,
        x: Float[Tensor, "b c *s"],
        nodes: Float[Tensor, "b m d"],
        channels: Int[Tensor, " k"],
    ) -> Float[Tensor, "b k *s"]:
        """Logits in whole planes, whatever the layout of x.

        Args:
            channels: the node of each output channel.
        """
        voxels = x.flatten(2).mT
        query = self.query(voxels)
        key, value = self.key_value(nodes).chunk(2, dim=-1)
        heard = attend(query[:, None], key[:, None], value[:, None])[:, 0]
        logits = self.reading.read((voxels + heard).mT)
        own, scale = key.index_select(1, channels), query.shape[-1] ** -0.5
        return torch.baddbmm(logits, own, query.mT, alpha=scale).unflatten(2, x.shape[2:])


def _reader(width: int, out_channels: int, graph: NucleiGraph | None) -> nn.Module:
    """What makes logits of features of so many channels."""
    if graph is None:
        reader = Read(width, out_channels)
        # As other heads begin; beside the nodes' scores, smaller weights learn faster.
        nn.init.kaiming_normal_(reader.classes.weight, a=0.01)
        return reader
    return Ask(width, out_channels, node_width=graph.nodes.shape[1])


def run(stage: nn.Module, *inputs: Tensor, checkpointing: bool) -> Any:
    """What a stage returns; with `checkpointing`, its inner tensors are made again, dropout too."""
    if checkpointing and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return checkpoint(stage, *inputs, use_reentrant=False)
    return stage(*inputs)
