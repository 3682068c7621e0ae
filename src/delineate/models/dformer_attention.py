"""Attention in groups of the tokens of a grid, near each other or far apart, and blocks around it.

A local group is a box of neighbours. A global one has the tokens of one stride, which along an axis
of n tokens is ceil(n / g) for groups of g: each group spans the whole grid. Groups at the end of
the grid are smaller where the sizes do not divide: nothing is padded, so nothing has to be masked.

All but attention looks at one token at a time. So tokens lie group by group throughout a block, and
between two blocks each is moved once, from its place in one order to that in the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Block", "Groups", "make_groups", "moved"]


@dataclass(frozen=True, slots=True)
class Groups:
    """Which tokens of a grid attend to each other."""

    order: Int[Tensor, " n"]
    """The token at each place; tokens are counted along the last axis first."""
    place: Int[Tensor, " n"]
    """The place of each token."""
    runs: tuple[tuple[int, int], ...]
    """From the first place on: so many groups of so many tokens."""


def make_groups(
    grid: Sequence[int], group: Sequence[int], *, dilated: bool, device: torch.device
) -> Groups:
    """The groups of a grid; a single one where its last but one axis is shorter than a group's.

    Args:
        group: tokens of a group along each axis, at most.
        dilated: global groups instead of local ones.
    """
    count = prod(grid)
    if grid[-2] < group[-2]:
        order = torch.arange(count, device=device)
        return Groups(order, order, ((1, count),))
    along = _strided if dilated else _contiguous
    axes = [along(n, g, device) for n, g in zip(grid, group, strict=True)]
    runs, tokens = [], []
    for parts in product(*axes):
        runs.append((prod(len(p) for p in parts), prod(p.shape[1] for p in parts)))
        tokens.append(_tokens(parts, grid))
    order = torch.cat(tokens)
    return Groups(order, order.argsort(), tuple(runs))


def _contiguous(length: int, group: int, device: torch.device) -> list[Tensor]:
    """Positions along an axis as (groups, tokens), for each length of group that there is."""
    whole = length // group * group
    positions = torch.arange(length, device=device)
    parts = positions[:whole].view(-1, group), positions[whole:].view(1, -1)
    return [part for part in parts if part.numel()]


def _strided(length: int, group: int, device: torch.device) -> list[Tensor]:
    """As above, with every group from one end of the axis to the other."""
    stride = ceil(length / group)
    rows, longer = divmod(length, stride)
    starts = torch.arange(stride, device=device)[:, None]
    steps = stride * torch.arange(rows + 1, device=device)
    parts = starts[:longer] + steps, starts[longer:] + steps[:rows]
    return [part for part in parts if part.numel()]


def _tokens(parts: Sequence[Tensor], grid: Sequence[int]) -> Int[Tensor, " m"]:
    """The tokens of all combinations of the groups along each axis, group by group."""
    dims = len(parts)
    index = parts[0].new_zeros((1,) * (2 * dims))
    for axis, part in enumerate(parts):
        shape = [1] * (2 * dims)
        shape[axis], shape[dims + axis] = part.shape
        index = index * grid[axis] + part.reshape(shape)
    return index.flatten()


def moved(
    x: Float[Tensor, "b n c"], before: Groups | None, after: Groups | None
) -> Float[Tensor, "b n c"]:
    """Tokens from one order in another; None is their order in the grid."""
    if after is None:
        if before is None:
            return x
        after = _as_in_grid(before)
    before = before or _as_in_grid(after)
    index = before.place[after.order]
    if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
        return _Moved.apply(x, index, after.place[before.order])
    return x.index_select(1, index)


def _as_in_grid(other: Groups) -> Groups:
    index = torch.arange(len(other.order), device=other.order.device)
    return Groups(index, index, ())


class _Moved(torch.autograd.Function):
    """A permutation, whose gradient is the inverse one: PyTorch would add rows one by one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(1, index)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, None, None]:
        return grad.index_select(1, ctx.saved_tensors[0]), None, None


class Attention(nn.Module):
    """Softmax attention of several heads inside of groups."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "b n c"], runs: tuple[tuple[int, int], ...]
    ) -> Float[Tensor, "b n c"]:
        """For tokens that lie group by group."""
        qkv = self.qkv(x)
        if len(runs) == 1:
            return self.proj(self._attend(qkv, runs[0][1]))
        parts = qkv.split([groups * tokens for groups, tokens in runs], dim=1)
        mixed = [self._attend(p, tokens) for p, (_, tokens) in zip(parts, runs, strict=True)]
        return self.proj(torch.cat(mixed, dim=1))

    def _attend(self, qkv: Float[Tensor, "b m d"], tokens: int) -> Float[Tensor, "b m c"]:
        """Groups of equally many tokens."""
        cases, count, width = qkv.shape
        groups = qkv.reshape(cases * (count // tokens), tokens, 3, self.heads, -1)
        q, k, v = groups.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(cases, count, width // 3)


class Block(nn.Module):
    """Attention and a perceptron, each behind a normalisation, and added to what they read.

    Args:
        ratio: channels inside of the perceptron, as a multiple of the width.
        drop_path: how likely a case goes past the attention, or past the perceptron, in training.
    """

    def __init__(self, width: int, heads: int, *, ratio: float, drop_path: float) -> None:
        super().__init__()
        hidden = int(ratio * width)
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(
        self, x: Float[Tensor, "b n c"], runs: tuple[tuple[int, int], ...]
    ) -> Float[Tensor, "b n c"]:
        """For tokens that lie group by group."""
        x = x + self._kept(self.attention(self.norm1(x), runs))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """The branch for the cases that take it, enlarged so that the mean stays."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        mask = branch.new_empty((len(branch), 1, 1)).bernoulli_(keep)
        return branch * (mask / keep)
