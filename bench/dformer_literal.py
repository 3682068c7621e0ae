"""D-Former as it is described, layer by layer: the peer of dformer_step.py.

Written from the description of its layers and of its way of computing. Tokens are a list (b, n, c)
beside the size of their grid. For each attention they are brought into their grid, padded, reshaped
and permuted into groups, and back; attention is a product of queries and keys, a mask of -1e6 where
a key is padding, a softmax, a product with the values. A head expands every token to its whole
patch, brings all channels to full resolution, normalises them there and applies a convolution of 1.

What is ill-defined is left out: nothing is changed by a forward pass, and there are as many outputs
as are asked for. Sizes must be multiples of the patch times 8; the interval of a global group is
rounded up. `ours_from_literal` gives the weights their names in delineate.models.DFormer.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int, int]
MASKED = -1e6


class Attention(nn.Module):
    """Attention among all tokens of a group."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        groups, tokens, width = x.shape
        qkv = self.qkv(x).reshape(groups, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if mask is not None:
            per_case = len(mask)
            scores = scores.view(-1, per_case, self.heads, tokens, tokens) + mask[:, None]
            scores = scores.view(-1, self.heads, tokens, tokens)
        mixed = scores.softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(groups, tokens, width))


class Block(nn.Module):
    """Attention in local or global groups, then the perceptron."""

    def __init__(self, width: int, heads: int, group: Grid, *, dilated: bool) -> None:
        super().__init__()
        self.group, self.dilated = group, dilated
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = x + self.attend(self.norm1(x), grid)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    def attend(self, x: Tensor, grid: Grid) -> Tensor:
        """Into the grid, padded; into groups; attention; and all the way back."""
        cases, _, width = x.shape
        whole = grid[1] < self.group[1]
        group = grid if whole else self.group
        dilated = self.dilated and not whole
        interval = [-(-n // g) for n, g in zip(grid, group, strict=True)]
        steps = interval if dilated else group
        lack = [-n % step for n, step in zip(grid, steps, strict=True)]
        x = F.pad(x.view(cases, *grid, width), (0, 0, 0, lack[2], 0, lack[1], 0, lack[0]))
        padded = x.shape[1:4]
        mask = None
        if any(lack):
            outside = F.pad(
                torch.zeros(1, *grid, 1),
                (0, 0, 0, lack[2], 0, lack[1], 0, lack[0], 0, 0),
                value=1.0,
            )
            mask = MASKED * self.grouped(outside, steps, dilated=dilated).transpose(1, 2)
        groups = self.attention(self.grouped(x, steps, dilated=dilated), mask)
        counts = [n // step for n, step in zip(padded, steps, strict=True)]
        (a, b, c), (p, q, r) = counts, steps
        if dilated:
            x = groups.view(cases, p, q, r, a, b, c, width).permute(0, 4, 1, 5, 2, 6, 3, 7)
        else:
            x = groups.view(cases, a, b, c, p, q, r, width).permute(0, 1, 4, 2, 5, 3, 6, 7)
        x = x.reshape(cases, *padded, width)
        x = x[:, : grid[0], : grid[1], : grid[2]].contiguous()
        return x.view(cases, -1, width)

    @staticmethod
    def grouped(x: Tensor, steps: Grid | list[int], *, dilated: bool) -> Tensor:
        """(b, d, h, w, c) as (groups, tokens, c)."""
        cases, d, h, w, width = x.shape
        p, q, r = steps
        x = x.view(cases, d // p, p, h // q, q, w // r, r, width)
        if dilated:
            x = x.permute(0, 2, 4, 6, 1, 3, 5, 7)
            return x.reshape(-1, (d // p) * (h // q) * (w // r), width)
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, p * q * r, width)


class Stage(nn.Module):
    """Positions once, then the blocks by turns."""

    def __init__(self, width: int, depth: int, heads: int, group: Grid) -> None:
        super().__init__()
        self.position = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.ModuleList(
            Block(width, heads, group, dilated=i % 2 == 1) for i in range(depth)
        )

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        cases, _, width = x.shape
        image = x.transpose(1, 2).view(cases, width, *grid)
        image = self.position(image) + image
        x = image.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x, grid)
        return x


class Merge(nn.Module):
    """8 neighbours side by side, normalised, to twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8 * width)
        self.reduce = nn.Linear(8 * width, 2 * width, bias=False)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = x.view(len(x), *grid, -1)
        parts = [x[:, i::2, j::2, k::2] for i in range(2) for j in range(2) for k in range(2)]
        merged = torch.cat(parts, -1)
        return self.reduce(self.norm(merged.flatten(1, 3)))


class Expand(nn.Module):
    """Each token to a block of several, rearranged, normalised."""

    def __init__(self, width: int, steps: Grid, after: int) -> None:
        super().__init__()
        self.steps, self.after = steps, after
        self.expand = nn.Linear(width, steps[0] * steps[1] * steps[2] * after, bias=False)
        self.norm = nn.LayerNorm(after)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = self.expand(x).view(len(x), *grid, *self.steps, self.after)
        x = x.permute(0, 1, 4, 2, 5, 3, 6, 7)
        return self.norm(x.reshape(len(x), -1, self.after))


class Head(nn.Module):
    """All channels at full resolution, then a convolution of 1."""

    def __init__(self, width: int, out_channels: int, patch: Grid) -> None:
        super().__init__()
        self.patch = patch
        self.expand = Expand(width, patch, width)
        self.classes = nn.Conv3d(width, out_channels, 1, bias=False)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        fine = [n * p for n, p in zip(grid, self.patch, strict=True)]
        features = self.expand(x, grid).view(len(x), *fine, -1)
        return self.classes(features.permute(0, 4, 1, 2, 3))


class Literal(nn.Module):
    """The network in three dimensions; logits at full, half and quarter resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embed_dim: int = 96,
        depths: tuple[int, int, int, int] = (2, 2, 6, 2),
        num_heads: tuple[int, int, int, int] = (3, 6, 12, 24),
        patch_size: Grid = (2, 4, 4),
        group_size: Grid = (2, 8, 8),
    ) -> None:
        super().__init__()
        widths = [embed_dim * 2**i for i in range(4)]
        stages = list(zip(widths, depths, num_heads, strict=True))
        self.embed = nn.Conv3d(in_channels, embed_dim, patch_size, patch_size)
        self.embed_norm = nn.LayerNorm(embed_dim)
        self.down = nn.ModuleList(Stage(*stage, group_size) for stage in stages)
        self.merge = nn.ModuleList(Merge(width) for width in widths[:-1])
        self.norm = nn.LayerNorm(widths[-1])
        self.expand = nn.ModuleList(Expand(2 * w, (2, 2, 2), w) for w in widths[:-1])
        self.mix = nn.ModuleList(nn.Linear(2 * w, w) for w in widths[:-1])
        self.up = nn.ModuleList(Stage(*stage, group_size) for stage in stages[:-1])
        self.last_norm = nn.LayerNorm(embed_dim)
        self.heads = nn.ModuleList(Head(w, out_channels, patch_size) for w in widths[:-1])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.embed(image)
        d, h, w = x.shape[2:]
        grids = [(d // 2**i, h // 2**i, w // 2**i) for i in range(4)]
        x = self.embed_norm(x.flatten(2).transpose(1, 2))
        skips = []
        for i, stage in enumerate(self.down):
            x = self.merge[i - 1](x, grids[i - 1]) if i else x
            skips.append(x)
            x = stage(x, grids[i])
        x = self.norm(x)
        logits = []
        for i in (2, 1, 0):
            x = torch.cat([self.expand[i](x, grids[i + 1]), skips[i]], -1)
            x = self.up[i](self.mix[i](x), grids[i])
            x = x if i else self.last_norm(x)
            logits.insert(0, self.heads[i](x, grids[i]))
        return logits


RENAMED = {
    "embed": "embed.convolution",
    "embed_norm": "embed.norm",
    "down": "encoder",
    "merge": "merges",
    "up": "decoder",
}
"""First words of the names of weights."""


def ours_from_literal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `Literal` under the names of `delineate.models.DFormer`."""
    return {_renamed(name): _reshaped(name, tensor) for name, tensor in state.items()}


def _renamed(name: str) -> str:
    part, rest = name.split(".", 1)
    if part == "expand":  # stage, layer, kind
        stage, rest = rest.split(".", 1)
        return f"up.{stage}.{rest}"
    if part == "mix":
        stage, kind = rest.split(".")
        return f"up.{stage}.mix.{kind}"
    if part == "heads":
        return name.replace("expand.expand", "expand").replace("expand.norm", "norm")
    rest = rest.replace(".fc1.", ".mlp.0.").replace(".fc2.", ".mlp.2.")
    return f"{RENAMED.get(part, part)}.{rest}"


def _reshaped(name: str, tensor: Tensor) -> Tensor:
    """The convolutions of 1 are matrices with us."""
    return tensor.flatten(1) if name.endswith("classes.weight") else tensor
