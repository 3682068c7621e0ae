"""Batch normalisation followed by a ReLU, and stages around it that are recomputed.

Ioffe and Szegedy, arXiv 1502.03167: y = relu(w * (x - mean) / sqrt(var + 1e-5) + b), mean and var
over the batch and space while training, their running averages otherwise.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["NormRelu", "recomputed"]

_EPSILON = 1e-5
MOMENTUM = 0.1
"""How far one batch moves the running mean and variance."""


class NormRelu(nn.Module):
    """A batch normalisation with a learned scale and shift, then a ReLU.

    A channel with a single value in the whole batch has no variance: it meets the running averages
    while training too.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.momentum = MOMENTUM
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c *s"]) -> Float[Tensor, "b c *s"]:
        """The normalised and activated features; x is left as it is."""
        normed = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training and x.numel() > x.shape[1],
            momentum=self.momentum,
            eps=_EPSILON,
        )
        return F.relu_(normed)


def recomputed(stage: nn.Module, *inputs: Tensor) -> Tensor:
    """What a stage returns; its inner tensors are made again in the backward pass, and not kept.

    Its last operation is not done again, as the backward pass needs that one's inputs only. What is
    random in a stage would differ; the running averages move once. A compiler decides by itself
    what to keep, and is left to it.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return stage(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _averages_kept(stage)

    return checkpoint(
        stage, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )


@contextmanager
def _averages_kept(stage: nn.Module) -> Iterator[None]:
    norms = [part for part in stage.modules() if isinstance(part, NormRelu)]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm in norms:
            norm.momentum = MOMENTUM
