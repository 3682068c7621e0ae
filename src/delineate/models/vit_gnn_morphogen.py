"""ViT-GNN that is told where it looks: image and morphogen gradients m, weighed by channel.

    p = 0.3 sigmoid(conv(relu(conv(m))))             3 -> 6 -> 3 channels, convolutions of 3
    x = [image, p]
    logits = ViT-GNN(x * sigmoid(B relu(A mean(x))))    A to one number, B to a weight a channel

As documented: 85 362 178 weights for an image of one channel and 16 classes with `graph="raster"`
and `mlp_dim=3072`. How we differ: images of any size, in two dimensions too, and all that ViTGNN
does.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.labels import Labels
from delineate.models.blocks import convolution
from delineate.models.vit_gnn import ViTGNN

__all__ = ["MorphogenAugmentedViTGNN"]

GRADIENTS = 3
WEIGHT = 0.3
"""Largest value of a gradient beside an image of deviation 1."""


class MorphogenAugmentedViTGNN(nn.Module):
    """Logits of images of any size whose last three channels are morphogen gradients.

    Args:
        in_channels: of image and gradients together.
        labels: the classes that become nodes; the engine supplies those of the data.

    The other arguments are those of ViTGNN.
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
        if in_channels <= GRADIENTS:
            raise ValueError(
                f"MorphogenAugmentedViTGNN: in_channels is {in_channels}. Fix: an image of one "
                f"channel or more and {GRADIENTS} gradients beside it, or take ViTGNN."
            )
        self.in_channels = in_channels
        three, ones = (3,) * spatial_dims, (1,) * spatial_dims
        self.processor = nn.Sequential(
            convolution(GRADIENTS, 2 * GRADIENTS, three, ones),
            nn.ReLU(),
            convolution(2 * GRADIENTS, GRADIENTS, three, ones),
            nn.Sigmoid(),
        )
        hidden = max(1, in_channels // 4)
        self.attention = nn.Sequential(
            nn.Linear(in_channels, hidden), nn.ReLU(), nn.Linear(hidden, in_channels), nn.Sigmoid()
        )
        self.network = ViTGNN(
            in_channels,
            out_channels,
            spatial_dims=spatial_dims,
            labels=labels,
            graph=graph,
            embed_dim=embed_dim,
            vit_layers=vit_layers,
            gnn_layers=gnn_layers,
            num_heads=num_heads,
            mlp_dim=mlp_dim,
            patch_size=patch_size,
            dropout=dropout,
            width=width,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
        )

    @property
    def checkpointing(self) -> bool:
        """Whether layers are computed again in the backward pass."""
        return self.network.checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        self.network.checkpointing = wanted

    def forward(
        self, image: Float[Tensor, "b c *s"], morphogen: Float[Tensor, "b 3 *s"] | None = None
    ) -> Output:
        """Logits of the image's size.

        Args:
            morphogen: AP, DV and ML; None where they are the image's last channels.
        """
        if morphogen is None:
            morphogen = image[:, -GRADIENTS:]
            image = image[:, :-GRADIENTS]
        channels = image.shape[1] + morphogen.shape[1]
        if channels != self.in_channels or morphogen.shape[1] != GRADIENTS:
            raise ValueError(
                f"MorphogenAugmentedViTGNN: {image.shape[1]} channels of an image and "
                f"{morphogen.shape[1]} of gradients, where {self.in_channels - GRADIENTS} and "
                f"{GRADIENTS} are taken. Fix: AP, DV and ML beside the image, or as its last "
                "channels."
            )
        x = torch.cat((image, WEIGHT * self.processor(morphogen)), dim=1)
        weights = self.attention(x.flatten(2).mean(2))
        return self.network(x * weights.view(*weights.shape, *(1 for _ in x.shape[2:])))
