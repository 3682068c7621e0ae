"""Logits at full resolution from coarse tokens, without the features at full resolution.

A head expands each token x of C channels to one vector e_p = W_p x for each voxel p of its patch,
normalises it, e_p -> w (e_p - mean) / sqrt(var + 1e-5) + b, and reads logits with a matrix K. With
V_p = W_p less the mean of its rows this is

    l_p = s_p (K w V_p) x + K b,    s_p = 1 / sqrt(|V_p x|^2 / C + 1e-5)

so the numerators have as many channels as there are classes, and the C channels of a voxel are
needed for the length of one vector only: they live a slab of tokens at a time, and the backward
pass does not ask for them. It has t_p = sum over classes of dl_p (l_p - K b), and from it

    dx = sum over p of u_p V_p' V_p x + ...,    dV_p = V_p (sum over tokens of u_p x x') + ...

with u_p = -s_p^2 t_p / C; the dots are the two products of the numerators.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Head"]

_EPSILON = 1e-5
_SLAB = 1 << 22
_CARD = 8
"""How many numbers are expanded at a time, and how many times as many on a card."""


class Head(nn.Module):
    """Expand, normalise, read: logits for each voxel of the tokens' patches."""

    def __init__(self, width: int, out_channels: int, patch: Sequence[int]) -> None:
        super().__init__()
        self.patch = tuple(patch)
        self.expand = nn.Linear(width, prod(patch) * width, bias=False)
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.classes = nn.Linear(width, out_channels, bias=False)

    def forward(self, x: Float[Tensor, "b *g c"]) -> Float[Tensor, "b k *s"]:
        """Logits at the tokens' resolution times the patch."""
        kind = _working_type(x)
        with _exact(x.device):
            weight = self.expand.weight.unflatten(0, (-1, x.shape[-1]))
            centred = weight - weight.mean(1, keepdim=True)
            gains = self.classes.weight * self.norm.weight
            rows = torch.einsum("kd,pdc->pkc", gains, centred)
            offset = self.classes.weight @ self.norm.bias
            given = (x.to(kind), centred.to(kind), rows.to(kind), offset)
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():
                return _Read.apply(*given, self.patch)
            return _read(*given, self.patch)[0]


class _Read(torch.autograd.Function):
    """The logits, and their gradients as above."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, centred: Tensor, rows: Tensor, offset: Tensor, patch: tuple[int, ...]
    ) -> Tensor:
        logits, scale = _read(x, centred, rows, offset, patch)
        ctx.patch = patch
        ctx.save_for_backward(x, centred, rows, offset, scale, logits)
        return logits

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        x, centred, rows, offset, scale, logits = ctx.saved_tensors
        width, voxels = x.shape[-1], len(centred)
        grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        grad_rows = torch.zeros_like(rows.flatten(0, 1))
        grad_offset = torch.zeros_like(offset)
        lengths = _Lengths(centred, tokens=x[..., 0].numel())
        by_token, found = _by_token(grad, ctx.patch), _by_token(logits, ctx.patch)
        for slab in _slabs(x, voxels * width):
            part = x[:, slab].reshape(-1, width)
            s = scale[:, slab].reshape(-1, voxels)
            g = by_token[:, slab].reshape(-1, voxels, rows.shape[1])
            grad_offset += g.sum((0, 1), dtype=offset.dtype)
            numerators = found[:, slab].reshape(g.shape) - offset
            pull = (numerators.mul_(g).sum(2) * s.square()).div_(-width).to(x.dtype)
            pushed = (g * s[..., None]).to(x.dtype).flatten(1)
            grad_rows.addmm_(pushed.mT, part)
            grad_part = (pushed @ rows.flatten(0, 1)).add_(lengths.pulled(part, pull))
            grad_x[:, slab] = grad_part.view(x[:, slab].shape)
        return grad_x, lengths.grad(), grad_rows.view(rows.shape), grad_offset, None


class _Lengths:
    """The gradients of the vectors' lengths: of the tokens slab by slab, of V in the end.

    A matrix V_p' V_p serves all tokens; where they are few, the vectors themselves cost less.
    """

    def __init__(self, centred: Float[Tensor, "p d c"], *, tokens: int) -> None:
        self.centred = centred
        self.many = tokens > 2 * centred.shape[2]
        self.forms = (centred.mT @ centred).flatten(0, 1) if self.many else None
        self.total = torch.zeros_like(centred.flatten(0, 1))

    def pulled(self, x: Float[Tensor, "n c"], pull: Float[Tensor, "n p"]) -> Float[Tensor, "n c"]:
        """The gradient of some tokens."""
        if self.forms is not None:
            product = (pull[:, :, None] * x[:, None, :]).flatten(1)
            self.total.addmm_(product.mT, x)
            return product @ self.forms
        flat = self.centred.flatten(0, 1)
        vectors = (x @ flat.mT).unflatten(1, self.centred.shape[:2])
        vectors = vectors.mul_(pull[:, :, None]).flatten(1)
        self.total.addmm_(vectors.mT, x)
        return vectors @ flat

    def grad(self) -> Float[Tensor, "p d c"]:
        """The gradient of V from all tokens so far."""
        total = self.total.view(self.centred.shape)
        return self.centred @ total if self.many else total


def _read(
    x: Tensor, centred: Tensor, rows: Tensor, offset: Tensor, patch: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The logits (b, k, *s), and s_p for each token (b, *g, p)."""
    cases, *grid, width = x.shape
    voxels, classes = rows.shape[:2]
    precise = torch.promote_types(x.dtype, torch.float32)
    fine = (n * p for n, p in zip(grid, patch, strict=True))
    logits = x.new_empty((cases, classes, *fine))
    scale = x.new_empty((cases, *grid, voxels), dtype=precise)
    by_token = _by_token(logits, patch)
    for slab in _slabs(x, voxels * width):
        part = x[:, slab].reshape(-1, width)
        vectors = (part @ centred.flatten(0, 1).mT).unflatten(1, (voxels, width))
        length = torch.linalg.vector_norm(vectors, dim=2, dtype=precise)
        s = (length.square() / width + _EPSILON).rsqrt_()
        found = (part @ rows.flatten(0, 1).mT).unflatten(1, (voxels, classes)) * s[..., None]
        scale[:, slab] = s.view(scale[:, slab].shape)
        by_token[:, slab] = found.add_(offset).view(by_token[:, slab].shape)
    return logits, scale


def _by_token(logits: Tensor, patch: tuple[int, ...]) -> Tensor:
    """The same memory as (b, *g, *patch, k)."""
    dims = len(patch)
    for axis in reversed(range(dims)):
        logits = logits.unflatten(2 + axis, (-1, patch[axis]))
    coarse, inner = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    return logits.permute(0, *coarse, *inner, 1)


def _slabs(x: Float[Tensor, "b *g c"], expanded: int) -> Iterator[slice]:
    """The first axis of the grid in pieces whose tokens can be expanded to so many numbers each."""
    length = x.shape[1]
    if torch.compiler.is_compiling():
        yield slice(0, length)
        return
    most = _SLAB * (_CARD if x.device.type == "cuda" else 1)
    rows = max(1, most // max(1, x[:, 0, ..., 0].numel() * expanded))
    for start in range(0, length, rows):
        yield slice(start, min(start + rows, length))


def _working_type(x: Tensor) -> torch.dtype:
    """What a matrix product would be computed in."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return x.dtype


def _exact(device: torch.device) -> torch.autocast:
    """No autocast: what is converted here is converted by name."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type if available else "cpu", enabled=False)
