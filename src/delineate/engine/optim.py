"""Learning-rate schedules as functions of progress, and which weights decay.

A schedule maps progress (0 at the start, 1 at the end) to a factor on the learning rate, so the
same one serves a budget of steps and a budget of minutes.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

__all__ = ["Constant", "Cosine", "Poly", "Schedule", "parameter_groups"]


class Schedule(Protocol):
    """The factor on the learning rate at a progress between 0 and 1."""

    def __call__(self, progress: float) -> float:
        """The factor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Half a cosine from 1 to 0 after a linear warm-up over the first share of the training."""

    warmup: float = 0.02

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, rest = _warm_up(progress, self.warmup)
        return rise * 0.5 * (1 + math.cos(math.pi * rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Poly:
    """(1 - progress) to a power, nnU-Net's schedule at the default of 0.9."""

    power: float = 0.9
    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, rest = _warm_up(progress, self.warmup)
        return rise * (1 - rest) ** self.power


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The full rate after the warm-up."""

    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        return _warm_up(progress, self.warmup)[0]


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Kernels decay; biases and the gains of norms do not."""
    trained = [p for p in network.parameters() if p.requires_grad]
    kernels = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def _warm_up(progress: float, warmup: float) -> tuple[float, float]:
    """The factor of the rise, and the progress of what follows it."""
    if progress < warmup:
        return progress / warmup, 0.0
    return 1.0, (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
