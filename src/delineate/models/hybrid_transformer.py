"""The transformer block of the hybrid network: Vaswani et al., arXiv 1706.03762, norms in front.

    x = x + P(x),   t = t + W_o attend(q(n(t)), k(a(n(t))), v(a(n(t)))),   t = t + F(n(t))

t are the voxels of x as tokens, P a depth-wise convolution that tells where they stand (Chu et al.,
arXiv 2102.10882), F a layer of four times the width with GELU between. On the finer of the levels
that have such blocks, a is a mean over windows (as in PVT, Wang et al., arXiv 2102.12122), so that
keys stand on the grid of level 3 (a stride of 8) at the finest: 46 656 tokens of a cube of 144
voxels ask 5832 keys. Scores are never held, nor their softmax: memory grows as the tokens do.

How we differ: a norm is over the 32 channels of a head, not over all, and the number of heads is
the width over 32, so that a network can grow (see `hybrid_blocks`).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["TransformerBlock", "attend"]

HEAD = 32
"""Channels of one head."""
KEY_LEVEL = 3
"""The level on whose grid keys and values stand at the finest."""
WIDER = 4


class HeadNorm(nn.Module):
    """Layer normalisation over the channels of each head, with a learned scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """The normalised tokens."""
        normed = F.layer_norm(tokens.unflatten(2, (-1, HEAD)), (HEAD,)).flatten(2)
        return torch.addcmul(self.bias, normed, self.weight)


class TransformerBlock(nn.Module):
    """Every voxel asks all others, in memory that grows as the voxels do.

    Args:
        level: the resolution, as a power of two of the stride.
        dropout: of what is added to the tokens.
    """

    silencers: ClassVar = (
        *("position.weight", "position.bias"),
        *("merge.weight", "merge.bias", "narrow.weight", "narrow.bias"),
    )

    def __init__(self, channels: int, dims: int, *, level: int, dropout: float) -> None:
        super().__init__()
        depthwise = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.window = 2 ** max(0, KEY_LEVEL - level)
        self.position = depthwise(channels, channels, 3, padding=1, groups=channels)
        self.attention_norm = HeadNorm(channels)
        self.query = nn.Linear(channels, channels)
        # By head, its keys before its values: a wider layer has more heads behind these.
        # A bias of keys has no effect on a softmax, one of values that of the merger's.
        self.key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.merge = nn.Linear(channels, channels)
        self.feed_norm = HeadNorm(channels)
        self.widen = nn.Linear(channels, WIDER * channels)
        self.narrow = nn.Linear(WIDER * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """The features, and what each voxel learned from the others."""
        size = x.shape[2:]
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.dropout(self._attend(self.attention_norm(tokens), size))
        fed = self.narrow(F.gelu(self.widen(self.feed_norm(tokens))))
        tokens = tokens + self.dropout(fed)
        return tokens.transpose(1, 2).unflatten(2, size)

    def _attend(self, tokens: Float[Tensor, "b n d"], size: torch.Size) -> Float[Tensor, "b n d"]:
        query = self.query(tokens).unflatten(2, (-1, HEAD)).transpose(1, 2)
        both = self.key_value(self._averaged(tokens, size)).unflatten(2, (-1, 2, HEAD))
        key, value = both.transpose(1, 2).unbind(3)
        return self.merge(attend(query, key, value).transpose(1, 2).flatten(2))

    def _averaged(self, tokens: Float[Tensor, "b n d"], size: torch.Size) -> Float[Tensor, "b m d"]:
        """The mean of the tokens in each window; one at the border may hold fewer."""
        if self.window == 1:
            return tokens
        pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[len(size)]
        features = tokens.transpose(1, 2).unflatten(2, size)
        pooled = pool(features, self.window, ceil_mode=True, count_include_pad=False)
        return pooled.flatten(2).transpose(1, 2)


def attend(
    query: Float[Tensor, "b h n w"], key: Float[Tensor, "b h m w"], value: Float[Tensor, "b h m w"]
) -> Float[Tensor, "b h n w"]:
    """softmax(q k / sqrt(w)) v by a kernel that holds no scores."""
    if query.is_meta:
        # On shapes alone PyTorch takes the way that holds all scores, which no device does.
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return fused(query, key, value)[0]
    return F.scaled_dot_product_attention(query, key, value)
