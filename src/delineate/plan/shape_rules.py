"""What frequent operations return, by shape alone: an unfilled tensor of the right shape.

PyTorch's own rules for these pull in its compiler and sympy, which takes longer than all planning;
every other operation is left to them. A test compares each rule with PyTorch's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["RULES"]

_ops = torch.ops.aten


def _like(tensor: Tensor, *_: Any, dtype: torch.dtype | None = None, **__: Any) -> Tensor:
    return tensor.new_empty(tensor.shape, dtype=dtype)


def _itself(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
    return tensor


def _sum(
    tensor: Tensor, axes: Sequence[int] | None = None, keepdim: bool = False, **_: Any
) -> Tensor:
    summed = {a % tensor.ndim for a in (axes or range(tensor.ndim))}
    kept = [1 if a in summed else n for a, n in enumerate(tensor.shape)]
    return tensor.new_empty([n for a, n in enumerate(kept) if keepdim or a not in summed])


def _add(left: Tensor, right: Any, **keywords: Any) -> Tensor:
    same = isinstance(right, Tensor) and (right.shape, right.dtype) == (left.shape, left.dtype)
    return _like(left) if same else _ops.add.Tensor(left, right, **keywords)


def _repeat(tensor: Tensor, times: Sequence[int]) -> Tensor:
    shape = (1,) * (len(times) - tensor.ndim) + tuple(tensor.shape)
    return tensor.new_empty([n * t for n, t in zip(shape, times, strict=True)])


def _concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[axis] = sum(t.shape[axis] for t in tensors)
    return tensors[0].new_empty(shape)


def _convolution(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    kernel = weight.shape[2:]
    num = len(kernel)
    steps, pads, gaps, extra = (
        list(v) * (num if len(v) == 1 else 1) for v in (stride, padding, dilation, output_padding)
    )
    size = []
    for i, (n, k) in enumerate(zip(image.shape[2:], kernel, strict=True)):
        reach = gaps[i] * (k - 1) + 1
        if transposed:
            size.append((n - 1) * steps[i] - 2 * pads[i] + reach + extra[i])
        else:
            size.append((n + 2 * pads[i] - reach) // steps[i] + 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return image.new_empty([image.shape[0], channels, *size])


def _convolution_backward(
    gradient: Tensor, image: Tensor, weight: Tensor, *rest: Any
) -> tuple[Tensor | None, ...]:
    wanted = rest[-1]
    return (
        _like(image) if wanted[0] else None,
        _like(weight) if wanted[1] else None,
        image.new_empty(gradient.shape[1]) if wanted[2] else None,
    )


def _batch_norm(image: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _like(image), image.new_empty(image.shape[1]), image.new_empty(image.shape[1])


def _batch_norm_backward(gradient: Tensor, image: Tensor, *rest: Any) -> tuple[Tensor | None, ...]:
    wanted = rest[-1]
    return (
        _like(image) if wanted[0] else None,
        image.new_empty(image.shape[1]) if wanted[1] else None,
        image.new_empty(image.shape[1]) if wanted[2] else None,
    )


RULES: Mapping[Any, Callable[..., Any]] = {
    _ops.convolution.default: _convolution,
    _ops.convolution_backward.default: _convolution_backward,
    _ops.native_batch_norm.default: _batch_norm,
    _ops.native_batch_norm_backward.default: _batch_norm_backward,
    _ops.repeat.default: _repeat,
    _ops.cat.default: _concatenate,
    _ops.sum.default: _sum,
    _ops.sum.dim_IntList: _sum,
    _ops.add.Tensor: _add,
    _ops.add_.Tensor: _itself,
    _ops.normal_.default: _itself,
    _ops.uniform_.default: _itself,
    _ops.fill_.Scalar: _itself,
    _ops.zero_.default: _itself,
    _ops.relu_.default: _itself,
    _ops.leaky_relu_.default: _itself,
    _ops.relu.default: _like,
    _ops.leaky_relu.default: _like,
    _ops.threshold_backward.default: _like,
    _ops.leaky_relu_backward.default: _like,
    _ops.empty_like.default: _like,
    _ops.ones_like.default: _like,
}
"""By operation."""
