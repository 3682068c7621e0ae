"""Instance normalisation followed by a leaky ReLU, the pair behind every convolution of a U-Net.

Ulyanov et al., arXiv 1607.08022: y = leaky(w * (x - mean) / sqrt(var + 1e-5) + b), mean and var
over the space of each case and channel. The arithmetic is PyTorch's; what differs is the cost on a
CPU: group normalisation with one channel a group is the same function and has a faster kernel than
`instance_norm`, but its gradient is slow on channels-last tensors, so that one is written here.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["NormAct"]

_EPSILON = 1e-5
_SLOPE = 0.01


class NormAct(nn.Module):
    """Instance normalisation with a learned scale and shift, then a leaky ReLU of slope 0.01."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """The normalised and activated features; x is left as it is."""
        if x.device.type != "cpu":
            normed = F.instance_norm(x, weight=self.weight, bias=self.bias, eps=_EPSILON)
            return F.leaky_relu_(normed, _SLOPE)
        if torch.is_grad_enabled() and x.dtype == self.weight.dtype and not x.is_contiguous():
            return _ChannelsLast.apply(x, self.weight, self.bias)
        normed = F.group_norm(x, x.shape[1], self.weight, self.bias, _EPSILON)
        return F.leaky_relu_(normed, _SLOPE)


class _ChannelsLast(torch.autograd.Function):
    """The same function with a gradient made of a few whole-tensor passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        cases, channels = x.shape[:2]
        size = x[0, 0].numel()
        y, mean, scale = torch.native_group_norm(
            x, weight, bias, cases, channels, size, channels, _EPSILON
        )
        F.leaky_relu_(y, _SLOPE)
        ctx.save_for_backward(x, y, weight, mean, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        (grad,) = grads
        x, y, weight, mean, scale = ctx.saved_tensors
        space = tuple(range(2, x.dim()))
        size = x[0, 0].numel()
        # A leaky ReLU keeps the sign, so its own output tells which slope applied.
        inner = torch.ops.aten.leaky_relu_backward(grad, y, _SLOPE, True)
        sum_bc = inner.sum(space)
        product_bc = (inner * x).sum(space)
        # dx = w r (g - mean(g) - xhat mean(g xhat)), gathered as a g + p x + q.
        a_bc = weight * scale
        p_bc = (sum_bc * mean - product_bc) * a_bc * scale**2 / size
        q_bc = -p_bc * mean - sum_bc * a_bc / size
        shape = (*x.shape[:2], *(1 for _ in space))
        grad_x = inner.mul_(a_bc.view(shape)).addcmul_(x, p_bc.view(shape)).add_(q_bc.view(shape))
        grad_weight = ((product_bc - mean * sum_bc) * scale).sum(0)
        return grad_x, grad_weight, sum_bc.sum(0)
