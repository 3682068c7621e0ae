"""A graph of anatomical structures between the tokens of an image and its voxels.

There is a node for every class of the labels, unions included, and one for the background. With
x_n the tokens, c_m a learned vector for each node, N(m) its neighbours in the hierarchy:

    a_nm = softmax over m of (K x_n . c_m / sqrt(d))          how much token n belongs to node m
    h_m = c_m + sum over n of a_nm V x_n / sum over n of a_nm
    h_m = norm(h_m + relu(S h_m + M mean over j in N(m) of h_j))    `layers` times

(GraphSAGE, Hamilton et al., arXiv 1706.02216, with a residual and a normalisation.) Voxels ask the
nodes in `vit_gnn_head`. How we differ from the documented graph, which `vit_gnn_raster` keeps: its
sixteen nodes are boxes of the image, its edges are a fixed list, and all voxels hear the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.labels import Labels

__all__ = ["Anatomy", "NucleiGraph", "read_anatomy"]

WIDTH = 256
"""Channels of a node, or as many as a token has."""
_SMALLEST = 1e-6
"""A node that no token belongs to keeps what it was."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Which nodes there are, and how they lie to each other."""

    neighbours: tuple[tuple[int, ...], ...]
    """Of each node, itself not among them."""
    channels: tuple[int, ...]
    """The node of each output channel."""


def read_anatomy(labels: Labels | None, out_channels: int) -> Anatomy:
    """The background first, unless masks overlap, then every class in the declared order.

    Neighbours are parent and child, children of one parent, and left and right of one structure;
    what has no parent is a child of the whole, and so is the background. Without labels there is a
    node for each output, and all are neighbours.
    """
    if labels is None:
        everything = range(out_channels)
        others = tuple(tuple(j for j in everything if j != i) for i in everything)
        return Anatomy(others, tuple(everything))
    if labels.channels != out_channels:
        raise ValueError(
            f"ViTGNN: the labels have {labels.channels} channels but out_channels is "
            f"{out_channels}. Fix: one output channel per leaf of the labels, and one for the "
            "background unless masks overlap."
        )
    start = 0 if labels.overlapping else 1
    place = {name: i for i, name in enumerate(labels.names, start)}
    parents = [None] * start + [
        None if c.parent is None else place[c.parent] for c in labels.classes
    ]
    sides = {(place[a], place[b]) for a, b in labels.pairs}
    linked = sides | {(b, a) for a, b in sides}
    nodes = range(len(parents))
    neighbours = tuple(
        tuple(
            j
            for j in nodes
            if i != j and (above == parents[j] or above == j or parents[j] == i or (i, j) in linked)
        )
        for i, above in enumerate(parents)
    )
    leaves = tuple(place[leaf.name] for leaf in labels.leaves)
    return Anatomy(neighbours, (*range(start), *leaves))


class NucleiGraph(nn.Module):
    """What is known of each structure, from all tokens of a case.

    Args:
        embed_dim: channels of a token.
        layers: how often neighbours exchange messages.
    """

    shares: Tensor
    channels: Tensor

    def __init__(self, embed_dim: int, anatomy: Anatomy, *, layers: int, dropout: float) -> None:
        super().__init__()
        width = min(embed_dim, WIDTH)
        self.nodes = nn.Parameter(torch.randn(len(anatomy.neighbours), width))
        self.key = nn.Linear(embed_dim, width, bias=False)
        self.value = nn.Linear(embed_dim, width)
        self.layers = nn.ModuleList(Messages(width, dropout) for _ in range(layers))
        self.register_buffer("shares", _shares(anatomy.neighbours), persistent=False)
        self.register_buffer("channels", torch.tensor(anatomy.channels), persistent=False)

    def forward(self, tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b m d"]:
        """The nodes of each case."""
        belongs = self.assign(tokens)
        weight = belongs / belongs.sum(1, keepdim=True).clamp_min(_SMALLEST)
        values = self.value(tokens)
        nodes = self.nodes + weight.to(values.dtype).mT @ values
        for layer in self.layers:
            nodes = layer(nodes, self.shares)
        return nodes

    def assign(self, tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b n m"]:
        """How much each token belongs to each node; the sum over nodes is 1."""
        scores = F.linear(self.key(tokens), self.nodes) * self.nodes.shape[1] ** -0.5
        # A sum over many tokens of shares far below 1.
        return scores.float().softmax(-1) if scores.dtype.itemsize < 4 else scores.softmax(-1)


class Messages(nn.Module):
    """What the neighbours of a node are on average, added to it."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.others = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, nodes: Float[Tensor, "b m d"], shares: Float[Tensor, "m m"]
    ) -> Float[Tensor, "b m d"]:
        """The nodes, one step on."""
        heard = self.others(shares.to(nodes.dtype) @ nodes)
        return self.norm(nodes + self.dropout(F.relu(self.own(nodes) + heard)))


def _shares(neighbours: Sequence[Sequence[int]]) -> Float[Tensor, "m m"]:
    """Row by row 1 / (number of neighbours) for each of them."""
    count = len(neighbours)
    rows = [[0.0] * count for _ in range(count)]
    for row, others in zip(rows, neighbours, strict=True):
        for j in others:
            row[j] = 1 / len(others)
    return torch.tensor(rows)
