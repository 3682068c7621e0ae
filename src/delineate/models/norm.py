"""Group normalisation followed by a leaky ReLU, the pair behind every convolution of a U-Net.

Wu and He, arXiv 1803.08494: y = leaky(w * (x - mean) / sqrt(var + 1e-5) + b), mean and var over the
space and the channels of one group, for each case; with one channel a group it is the instance
normalisation of Ulyanov et al., arXiv 1607.08022. The arithmetic is PyTorch's; what differs is the
cost on a CPU: `group_norm` has a faster kernel than `instance_norm`, but its gradient is slow on
channels-last tensors, so that one is written here.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["NormAct"]

_EPSILON = 1e-5


class NormAct(nn.Module):
    """A normalisation with a learned scale and shift, then a leaky ReLU.

    Args:
        groups: of channels that share a mean and a variance; None is one for each channel.
        slope: of the leaky ReLU below zero; 0 is a plain ReLU, 1 no activation at all.
    """

    def __init__(self, channels: int, *, groups: int | None = None, slope: float = 0.01) -> None:
        super().__init__()
        self.groups = groups or channels
        self.slope = slope
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """The normalised and activated features; x is left as it is."""
        if x.device.type != "cpu" and self.groups == len(self.weight):
            normed = F.instance_norm(x, weight=self.weight, bias=self.bias, eps=_EPSILON)
            return _activate(normed, self.slope)
        if (
            x.device.type == "cpu"
            and torch.is_grad_enabled()
            and x.dtype == self.weight.dtype
            and not x.is_contiguous()
        ):
            return _ChannelsLast.apply(x, self.weight, self.bias, self.groups, self.slope)
        normed = F.group_norm(x, self.groups, self.weight, self.bias, _EPSILON)
        return _activate(normed, self.slope)


def _activate(x: Tensor, slope: float) -> Tensor:
    """A leaky ReLU in place."""
    return x if slope == 1 else F.leaky_relu_(x, slope)


class _ChannelsLast(torch.autograd.Function):
    """The same function with a gradient made of a few whole-tensor passes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, slope: float
    ) -> Tensor:
        cases, channels = x.shape[:2]
        size = x[0, 0].numel()
        y, mean, scale = torch.native_group_norm(
            x, weight, bias, cases, channels, size, groups, _EPSILON
        )
        ctx.slope = slope
        if slope == 1:
            ctx.save_for_backward(x, weight, mean, scale)
        else:
            ctx.save_for_backward(x, weight, mean, scale, _activate(y, slope))
        return y

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        (grad,) = grads
        x, weight, mean, scale, *activated = ctx.saved_tensors
        space = tuple(range(2, x.dim()))
        # A leaky ReLU keeps the sign, so its own output tells which slope applied.
        inner = (
            torch.ops.aten.leaky_relu_backward(grad, activated[0], ctx.slope, True)
            if activated
            else grad
        )
        sum_bc = inner.sum(space)
        product_bc = (inner * x).sum(space)
        each = x.shape[1] // mean.shape[1]
        size = each * x[0, 0].numel()

        def over_group(values_bc: Tensor) -> Tensor:
            total_bg = (weight * values_bc).unflatten(1, (-1, each)).sum(2)
            return total_bg.repeat_interleave(each, dim=1)

        mean_bc, scale_bc = (v.repeat_interleave(each, dim=1) for v in (mean, scale))
        # dx = r (w g - mean(w g) - xhat mean(w g xhat)), gathered as a g + p x + q.
        a_bc = weight * scale_bc
        total_bc = over_group(sum_bc)
        p_bc = (total_bc * mean_bc - over_group(product_bc)) * scale_bc**3 / size
        q_bc = -p_bc * mean_bc - total_bc * scale_bc / size
        shape = (*x.shape[:2], *(1 for _ in space))
        # The incoming gradient is not ours to change.
        grad_x = inner.mul_(a_bc.view(shape)) if activated else inner * a_bc.view(shape)
        grad_x.addcmul_(x, p_bc.view(shape)).add_(q_bc.view(shape))
        grad_weight = ((product_bc - mean_bc * sum_bc) * scale_bc).sum(0)
        return grad_x, grad_weight, sum_bc.sum(0), None, None
