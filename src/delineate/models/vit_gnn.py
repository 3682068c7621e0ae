"""ViT-GNN: a transformer over patches, a graph over anatomical structures, a head for voxels.

Patches of the image become tokens, a learned position is added, layers of attention and perceptron
follow (Dosovitskiy et al., arXiv 2010.11929); but for "raster", tokens also have what convolutions
found at their place. Then

- `graph="nuclei"`: tokens belong softly to nodes, one for each class of the labels, which exchange
  messages along the hierarchy; every voxel asks the nodes (`vit_gnn_graph`, `vit_gnn_head`);
- `graph="none"`: the same head without a graph;
- `graph="raster"`: the documented graph and head (`vit_gnn_raster`), 63 332 896 weights for one
  channel and 16 classes.

How we differ from the documented form; with "raster" the function and its weights are the same:

- Normalisations come before attention and perceptron, which trains without a slow start.
- The thousand positions are a grid of 10 an axis and interpolated, so an image of any size has as
  many as it needs; with "raster" the first ones are taken, and all interpolated where they do not
  suffice.
- Any size: the last voxels are repeated to whole patches, and what is too much is cut off again.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.labels import Labels
from delineate.models.any_size import check_axes, cut, padded
from delineate.models.hybrid_transformer import attend
from delineate.models.vit_gnn_graph import NucleiGraph, read_anatomy
from delineate.models.vit_gnn_head import Head, run
from delineate.models.vit_gnn_raster import RasterHead, resampling

__all__ = ["ViTGNN"]

POSITIONS = 10
"""Along each axis."""
SPREAD = 0.02
"""Standard deviation of the positions at the start; 1 in the documented form."""


class ViTGNN(nn.Module):
    """Logits of images of any size, in two or three dimensions.

    Args:
        labels: the classes that become nodes; the engine supplies those of the data.
        graph: "nuclei" of the labels, "none", or the documented boxes in "raster" order.
        embed_dim: channels of a token.
        vit_layers: of attention and perceptron.
        gnn_layers: how often neighbours exchange messages.
        mlp_dim: channels inside of a perceptron.
        patch_size: voxels of a token along each axis, a power of two.
        dropout: of what is added to tokens and nodes, and inside of the perceptrons.
        width: channels of the head at full resolution; "raster" has its own.
        deep_supervision: while training, also return logits of every coarser level of the head;
            that of "raster" has none.
        checkpointing: recompute layers and levels in the backward pass, but not the raster's head.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 3,
        labels: Labels | None = None,
        graph: Literal["nuclei", "raster", "none"] = "nuclei",
        embed_dim: int = 768,
        vit_layers: int = 8,
        gnn_layers: int = 3,
        num_heads: int = 8,
        mlp_dim: int = 2048,
        patch_size: int = 16,
        dropout: float = 0.1,
        width: int = 16,
        deep_supervision: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        _check(spatial_dims, graph, embed_dim, num_heads, patch_size, gnn_layers)
        self.checkpointing = checkpointing
        self.documented = graph == "raster"
        self.embed = Embed(in_channels, embed_dim, (patch_size,) * spatial_dims)
        spread = 1.0 if self.documented else SPREAD
        self.position = nn.Parameter(spread * torch.randn(POSITIONS**spatial_dims, embed_dim))
        self.layers = nn.ModuleList(
            Layer(embed_dim, num_heads, mlp_dim, dropout=dropout, norm_first=not self.documented)
            for _ in range(vit_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        if self.documented:
            self.head = RasterHead(
                embed_dim, out_channels, spatial_dims, layers=gnn_layers, dropout=dropout
            )
            return
        nuclei = None
        if graph == "nuclei":
            anatomy = read_anatomy(labels, out_channels)
            nuclei = NucleiGraph(embed_dim, anatomy, layers=gnn_layers, dropout=dropout)
        self.head = Head(
            in_channels,
            out_channels,
            spatial_dims,
            embed_dim=embed_dim,
            width=width,
            levels=patch_size.bit_length() - 1,
            graph=nuclei,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
        )

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits of the image's size."""
        check_axes(image, len(self.embed.patch), "ViTGNN")
        whole = padded(image, self.embed.patch)
        x = self.embed(whole)
        seen: list[Tensor] = []
        if isinstance(self.head, Head):
            seen = self.head.look(whole)
            x = x + self.head.tell(seen[-1].movedim(1, -1))
        grid = x.shape[1:-1]
        x = x.flatten(1, -2)
        x = x + self._positions(grid).to(x.dtype)
        for layer in self.layers:
            x = run(layer, x, checkpointing=self.checkpointing)
        tokens = self.norm(x).unflatten(1, grid)
        if isinstance(self.head, Head):
            found = self.head(seen, tokens)
        else:
            found = Output(logits=self.head(whole, tokens))
        return cut(found, image, whole)

    def _positions(self, grid: Sequence[int]) -> Float[Tensor, "n e"]:
        """What is added to each token of the grid."""
        position, count = self.position, len(self.position)
        if self.documented:
            tokens = torch.Size(grid).numel()
            if tokens <= count:
                return position[:tokens]
            return resampling(count, tokens, like=position).mT @ position
        position = position.unflatten(0, (POSITIONS,) * len(grid))
        for length in grid:
            position = position.movedim(0, -1) @ resampling(POSITIONS, length, like=position)
        return position.flatten(1).mT


class Embed(nn.Module):
    """One token for each patch, channels innermost."""

    def __init__(self, in_channels: int, width: int, patch: tuple[int, ...]) -> None:
        super().__init__()
        self.patch = patch
        kind = {2: nn.Conv2d, 3: nn.Conv3d}[len(patch)]
        self.convolution = kind(in_channels, width, patch, patch)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Float[Tensor, "b *g e"]:
        """Tokens of an image that the patch divides."""
        x, dims = image, len(self.patch)
        for axis in reversed(range(dims)):
            x = x.unflatten(2 + axis, (-1, self.patch[axis]))
        coarse, inner = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
        x = x.permute(0, *coarse, 1, *inner).flatten(1 + dims)
        # A convolution whose kernel is its stride is a product.
        return F.linear(x, self.convolution.weight.flatten(1), self.convolution.bias)


class Layer(nn.Module):
    """Every token asks all others, then a perceptron; both are added to what they read.

    Args:
        norm_first: normalise what is read, instead of the sum.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, *, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm_first = norm_first
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
        """The tokens, one layer on."""
        if self.norm_first:
            x = x + self.dropout(self._attend(self.norm1(x)))
            return x + self.dropout(self.mlp(self.norm2(x)))
        x = self.norm1(x + self.dropout(self._attend(x)))
        return self.norm2(x + self.dropout(self.mlp(x)))

    def _attend(self, x: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(attend(query, key, value).transpose(1, 2).flatten(2))


def _check(
    dims: int, graph: str, embed_dim: int, num_heads: int, patch_size: int, gnn_layers: int
) -> None:
    """Raise a ValueError where the arguments contradict themselves."""
    if dims not in (2, 3):
        raise ValueError(f"ViTGNN: spatial_dims is {dims}. Fix: 2 or 3.")
    if graph not in ("nuclei", "raster", "none"):
        raise ValueError(f"ViTGNN: graph is '{graph}'. Fix: nuclei, raster or none.")
    if num_heads < 1 or embed_dim % num_heads:
        raise ValueError(
            f"ViTGNN: {num_heads} heads cannot share {embed_dim} channels. "
            "Fix: num_heads that divide embed_dim."
        )
    if patch_size < 2 or patch_size & (patch_size - 1):
        raise ValueError(f"ViTGNN: patch_size is {patch_size}. Fix: 2, 4, 8, 16 or 32.")
    if gnn_layers < 1:
        raise ValueError(
            f"ViTGNN: gnn_layers is {gnn_layers}. Fix: at least 1, or graph=none for no graph."
        )
