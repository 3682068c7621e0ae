"""The brainstem ViT-GNN as it is described, layer by layer: the peer of vit_gnn_step.py.

Written from the description of its layers and of its way of computing. Patches of 16 become tokens,
the first of a thousand positions are added, eight layers normalise behind attention and perceptron.
Features are brought to full resolution with all their channels. From there a mean over 4 x 4 x 4
boxes, of which the first sixteen in raster order are the nodes, whatever lies in them; messages go
along a fixed list of neighbours; the mean over the nodes is one vector for the whole image, put
beside the features of every voxel, and three convolutions read both.

Sizes must be multiples of 16, of a thousand patches at most. `ours_from_literal` gives the weights
their names in delineate.models.ViTGNN with graph="raster".
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NODES = 16
WIDE, NARROW = 512, 256
"""Channels behind the convolutions of 3."""
EDGES = (
    *((1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6), (7, 8), (8, 9), (9, 10)),
    *((3, 8), (8, 11), (11, 12), (12, 13), (13, 14), (14, 15), (9, 11), (10, 12)),
)


class Layer(nn.Module):
    """Attention and perceptron, each added and then normalised."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.attention(x, x, x)[0]))
        fed = self.fc2(self.dropout(F.relu(self.fc1(x))))
        return self.norm2(x + self.dropout(fed))


class Graph(nn.Module):
    """One vector of classes for the whole image."""

    links: Tensor

    def __init__(self, width: int, outputs: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(256 if i else width, 256) for i in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.answer = nn.Linear(256, outputs)
        links = torch.eye(NODES)
        for a, b in EDGES:
            links[a, b] = links[b, a] = 1
        self.register_buffer("links", links / (links.sum(1, keepdim=True) + 1e-8), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        boxes = F.adaptive_avg_pool3d(features, 4).flatten(2).transpose(1, 2)
        x = boxes[:, :NODES]
        for layer in self.layers:
            x = self.dropout(F.relu(layer(self.links @ x)))
        return self.answer(x).mean(1)


class Literal(nn.Module):
    """The network in three dimensions."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embed_dim: int = 768,
        vit_layers: int = 8,
        gnn_layers: int = 3,
        num_heads: int = 8,
        mlp_dim: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv3d(in_channels, embed_dim, 16, 16)
        self.position = nn.Parameter(torch.randn(1, 1000, embed_dim))
        self.layers = nn.ModuleList(
            Layer(embed_dim, num_heads, mlp_dim, dropout) for _ in range(vit_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.project = nn.Linear(embed_dim, embed_dim)
        self.graph = Graph(embed_dim, out_channels, gnn_layers, dropout)
        self.head = nn.Sequential(
            nn.Conv3d(embed_dim + out_channels, WIDE, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(WIDE, NARROW, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(NARROW, out_channels, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        size = image.shape[2:]
        x = self.embed(image)
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        x = x + self.position[:, : x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        x = self.project(self.norm(x))
        x = x.transpose(1, 2).reshape(len(x), -1, *grid)
        features = F.interpolate(x, size=size, mode="trilinear", align_corners=False)
        verdict = self.graph(features)
        everywhere = verdict[:, :, None, None, None].expand(-1, -1, *size)
        return self.head(torch.cat([features, everywhere], 1))


RENAMED = (
    ("attention.in_proj_", "qkv."),
    ("attention.out_proj.", "proj."),
    ("fc1.", "mlp.0."),
    ("fc2.", "mlp.3."),
    ("project.", "head.project."),
    ("graph.layers.", "head.messages."),
    ("graph.answer.", "head.answer."),
    ("head.0.", "head.wide."),
    ("head.2.", "head.narrow."),
    ("head.4.", "head.classes."),
    ("embed.", "embed.convolution."),
)
"""Parts of the names of weights."""


def ours_from_literal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `Literal` under the names of `delineate.models.ViTGNN`."""
    return {
        _renamed(name): tensor[0] if name == "position" else tensor
        for name, tensor in state.items()
    }


def _renamed(name: str) -> str:
    for theirs, ours in RENAMED:
        if theirs in name:
            return name.replace(theirs, ours)
    return name
