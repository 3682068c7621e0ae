"""Muon: momentum whose matrices are made orthogonal (Jordan et al., 2024), for convolutions.

A kernel is a matrix of (output channels, everything else). With its momentum U S V^T the step is
about U V^T: each direction moves alike, where Adam mostly moves the few strongest. Five
Newton-Schulz steps X <- a X + b (X X^T) X + c (X X^T)^2 X bring the singular values near 1.

How we differ: the steps are taken on the Gram matrix X X^T, which is small, and the long matrix is
multiplied twice instead of ten times; the step is as long as Adam's is (Liu et al., arXiv
2502.16982), so that one rate and one decay serve all weights.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

__all__ = ["Muon", "orthogonalise"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_STEPS = 5
ADAM_LENGTH = 0.2
"""The root mean square of an Adam step at a rate of 1, as measured in training."""


class Muon(Optimizer):
    """Muon for the inner kernels; AdamW for vectors, depth-wise, first and head kernels.

    Heads are the 1x1 kernels with as many outputs as the last kernel. Decay is decoupled for all.

    Args:
        momentum: of the kernels; the look-ahead is Nesterov's.
        betas: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.01,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"Muon: momentum is a share below 1, got {momentum}")
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        every = [p for group in self.param_groups for p in group["params"]]
        self._kernels = {id(p) for p in _inner_kernels(every)}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move the weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            self._step_kernels([p for p in moved if id(p) in self._kernels], group)
            self._step_others([p for p in moved if id(p) not in self._kernels], group)
        return loss

    def _step_kernels(self, kernels: list[Tensor], group: dict[str, Any]) -> None:
        alike = defaultdict(list)
        for weight in kernels:
            alike[tuple(weight.shape), weight.device].append(weight)
        lr, momentum = group["lr"], group["momentum"]
        for weights in alike.values():
            ahead = []
            for weight in weights:
                assert weight.grad is not None
                mean = self._mean(weight)
                mean.lerp_(weight.grad, 1 - momentum)
                ahead.append(weight.grad.lerp(mean, momentum).flatten(1))
            steps = orthogonalise(torch.stack(ahead))
            length = lr * ADAM_LENGTH * max(steps.shape[-2:]) ** 0.5
            for weight, step in zip(weights, steps, strict=True):
                weight.mul_(1 - lr * group["weight_decay"])
                weight.add_(step.view(weight.shape), alpha=-length)

    def _mean(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]

    def _step_others(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def orthogonalise(matrices: Tensor) -> Tensor:
    """(n, rows, columns) with singular values brought near 1 (about 0.7 to 1.2), in float32."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = (matrices.mT if tall else matrices).float()
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    a, b, c = COEFFICIENTS
    gram = wide @ wide.mT
    one = torch.eye(gram.shape[-1], device=gram.device)
    factor = product = a * one + b * gram + c * (gram @ gram)
    for _ in range(NUM_STEPS - 1):
        # All these are polynomials of one symmetric matrix: they commute.
        gram = factor @ gram @ factor
        factor = a * one + b * gram + c * (gram @ gram)
        product = factor @ product
    found = product @ wide
    return found.mT if tall else found


def _inner_kernels(weights: list[Tensor]) -> list[Tensor]:
    kernels = [w for w in weights if w.ndim > 1]
    outputs = kernels[-1].shape[0] if kernels else 0
    return [
        w
        for w in kernels[1:]
        if w.shape[1] > 1 and not (w.shape[0] == outputs and w[0, 0].numel() == 1)
    ]
