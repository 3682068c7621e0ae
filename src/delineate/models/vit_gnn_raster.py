"""The documented graph and head of ViT-GNN: sixteen boxes in raster order, one verdict per image.

Features are the tokens T, linearly interpolated to full resolution. Their means over 4 boxes an
axis, the first sixteen of all in raster order, are nodes; neighbours exchange messages, and the
mean over the nodes is a vector g for the whole image. Two convolutions of 3 and one of 1 read
[T, g] at every voxel.

How we differ from computing it so; the function is the same, and the features never are at full
resolution. Interpolation along an axis is a matrix U, and g interpolated is g again. So

- means over boxes are those of the matrices: mean(U) T;
- a convolution behind it is the sum over its taps t of (S_t1 U x S_t2 U x S_t3 U) W_t [T, g], S_t
  the shift by a tap: the products with W come first, at the tokens' resolution, and each axis is
  one product with all three taps. That is 3 n numbers for n tokens along the last axis, where the
  convolution sums 27 times 784.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.models.blocks import convolution

__all__ = ["RasterHead", "resampling"]

BOXES = 4
"""Along each axis."""
NODES = 16
EDGES = (
    *((1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6), (7, 8), (8, 9), (9, 10)),
    *((3, 8), (8, 11), (11, 12), (12, 13), (13, 14), (14, 15), (9, 11), (10, 12)),
)
"""Which of the sixteen nodes are neighbours, whatever the labels are."""
NODE_WIDTH = 256
WIDE, NARROW = 512, 256
"""Channels behind each convolution of 3."""


class RasterHead(nn.Module):
    """Logits from tokens alone, in the documented way.

    Args:
        embed_dim: channels of a token.
        layers: how often neighbours exchange messages.
    """

    adjacency: Tensor

    def __init__(
        self, embed_dim: int, out_channels: int, dims: int, *, layers: int, dropout: float
    ) -> None:
        super().__init__()
        three, ones = (3,) * dims, (1,) * dims
        self.project = nn.Linear(embed_dim, embed_dim)
        self.messages = nn.ModuleList(
            nn.Linear(NODE_WIDTH if i else embed_dim, NODE_WIDTH) for i in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.answer = nn.Linear(NODE_WIDTH, out_channels)
        self.wide = convolution(embed_dim + out_channels, WIDE, three, ones)
        self.narrow = convolution(WIDE, NARROW, three, ones)
        self.classes = convolution(NARROW, out_channels, ones, ones)
        self.register_buffer("adjacency", _adjacency(), persistent=False)

    def forward(
        self, image: Float[Tensor, "b c *s"], tokens: Float[Tensor, "b *g e"]
    ) -> Float[Tensor, "b k *s"]:
        """Logits of the image's size; nothing else of the image is asked."""
        x = self.project(tokens).movedim(-1, 1)
        axes = [
            resampling(n, length, like=x)
            for n, length in zip(x.shape[2:], image.shape[2:], strict=True)
        ]
        verdict = self._verdict(x, axes).to(x.dtype)
        everywhere = verdict.view(*verdict.shape, *(1 for _ in axes))
        x = torch.cat((x, everywhere.expand(-1, -1, *x.shape[2:])), dim=1)
        x = F.relu_(_convolved(x, self.wide, axes))
        return self.classes(F.relu_(self.narrow(x))).contiguous()

    def _verdict(self, x: Float[Tensor, "b e *g"], axes: Sequence[Tensor]) -> Float[Tensor, "b k"]:
        """One vector of classes for the whole image."""
        for matrix in axes:
            x = x.movedim(2, -1) @ F.adaptive_avg_pool1d(matrix, BOXES)
        nodes = x.flatten(2)[:, :, :NODES].transpose(1, 2)
        for message in self.messages:
            nodes = self.dropout(F.relu(message(self.adjacency.to(nodes.dtype) @ nodes)))
        return self.answer(nodes).mean(1)


def resampling(length: int, wanted: int, *, like: Tensor) -> Float[Tensor, "n m"]:
    """Linear interpolation of `length` numbers to more, or means of neighbours where they get less.

    A product with a matrix has the same gradient at every run on a GPU too, and reaches every
    number.
    """
    precise = torch.promote_types(like.dtype, torch.float32)
    unit = torch.eye(length, dtype=precise, device=like.device)
    if wanted < length:
        return F.adaptive_avg_pool1d(unit, wanted).to(like.dtype)
    return F.interpolate(unit[None], size=wanted, mode="linear")[0].to(like.dtype)


def _convolved(
    x: Float[Tensor, "b c *g"], layer: nn.Conv2d | nn.Conv3d, axes: Sequence[Tensor]
) -> Float[Tensor, "b o *s"]:
    """A padded convolution of 3 of what `axes` interpolate x to."""
    weight, bias, dims = layer.weight, layer.bias, len(axes)
    assert bias is not None, "made with one"
    found = weight.movedim(1, -1).flatten(0, -2) @ x.flatten(2)
    found = found.view(*x.shape[:1], *weight.shape[:1], *weight.shape[2:], *x.shape[2:])
    for done, matrix in enumerate(axes):
        # Taps and tokens of the first axis that is left are summed over; its voxels come last.
        pairs = found.movedim((2, 2 + dims - done), (-2, -1)).flatten(-2)
        found = pairs @ _shifted(matrix).flatten(0, 1)
    return found.add_(bias.view(-1, *(1 for _ in axes)).to(found.dtype))


def _shifted(matrix: Float[Tensor, "n m"]) -> Float[Tensor, "3 n m"]:
    """What each of the three taps sees: the voxel before, itself, and the one behind."""
    length = matrix.shape[1]
    padded = F.pad(matrix, (1, 1))
    return torch.stack([padded[:, tap : tap + length] for tap in range(3)])


def _adjacency() -> Float[Tensor, "n n"]:
    """Row by row the shares of a node itself and of its neighbours."""
    linked = torch.eye(NODES)
    for a, b in EDGES:
        linked[a, b] = linked[b, a] = 1
    return linked / (linked.sum(1, keepdim=True) + 1e-8)
