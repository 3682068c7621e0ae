"""Learning-rate schedules as functions of progress.

A schedule maps progress (0 at the start, 1 at the end) to a factor on the learning rate, so the
same one serves a budget of steps and a budget of minutes. `Plateau` also listens to the validation;
such a schedule has `observe`, is a `Watcher`, and its state is saved. A function or class of yours
that does the same is named by its import path.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from delineate.engine.patience import Patience

__all__ = ["Constant", "Cosine", "OneCycle", "Plateau", "Poly", "Schedule", "Step", "WarmRestarts"]


class Schedule(Protocol):
    """The factor on the learning rate at a progress between 0 and 1."""

    def __call__(self, progress: float) -> float:
        """The factor."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """What listens to the validation; if it remembers, it has a state for a resumed run."""

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take in the figures of a validation; `val_dice` is the one that counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Half a cosine from 1 to `end` after a linear warm-up over the first share of the training."""

    warmup: float = 0.02
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, rest = _warm_up(progress, self.warmup)
        return rise * _swing(1.0, self.end, rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Poly:
    """(1 - progress) to a power down to `end`, nnU-Net's schedule at the defaults."""

    power: float = 0.9
    warmup: float = 0.0
    end: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, rest = _warm_up(progress, self.warmup)
        return rise * (self.end + (1 - self.end) * (1 - rest) ** self.power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The full rate after the warm-up."""

    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        return _warm_up(progress, self.warmup)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Half a cosine up from `start` to 1 at the share `peak`, another down to `end`.

    The rates of PyTorch's OneCycleLR (Smith and Topin, arXiv 1708.07120); momentum is left alone.
    """

    peak: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        if not 0 < self.peak < 1:
            raise ValueError(f"peak: a share of the training between 0 and 1, got {self.peak}")

    def __call__(self, progress: float) -> float:
        """The factor."""
        if progress < self.peak:
            return _swing(self.start, 1.0, progress / self.peak)
        return _swing(1.0, self.end, (progress - self.peak) / (1 - self.peak))


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmRestarts:
    """Half a cosine down, over and over (SGDR, Loshchilov and Hutter, arXiv 1608.03983).

    Args:
        growth: how many times as long as the last one a cycle is.
        decay: how many times as high as the last one a cycle begins.
        end: the factor at the end of each cycle.
    """

    cycles: int = 3
    growth: float = 1.0
    decay: float = 1.0
    end: float = 0.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.cycles < 1 or self.growth <= 0:
            raise ValueError(
                f"cycles of a positive length are needed, at least one; "
                f"got cycles {self.cycles}, growth {self.growth}"
            )

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, rest = _warm_up(progress, self.warmup)
        lengths = [self.growth**i for i in range(self.cycles)]
        # Rounding must not hold a restart back: its step would have the lowest rate of all.
        left = rest * sum(lengths) + 1e-9
        cycle = 0
        while cycle < self.cycles - 1 and left >= lengths[cycle]:
            left -= lengths[cycle]
            cycle += 1
        top = self.decay**cycle
        return rise * _swing(top, min(self.end, top), min(1.0, left / lengths[cycle]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Multiplied by `factor` at each of the shares `at` of the training."""

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """The factor."""
        rise, _ = _warm_up(progress, self.warmup)
        return rise * self.factor ** sum(progress >= share for share in self.at)


@dataclass(slots=True, kw_only=True)
class Plateau:
    """Multiplied by `factor` each time `patience` validations in a row bring no better Dice.

    Never below `end`. As PyTorch's ReduceLROnPlateau with a threshold of 0, whose patience is one
    less: it waits for one more validation than it says.
    """

    factor: float = 0.5
    patience: int = 5
    end: float = 1e-3
    warmup: float = 0.0
    _reduced: float = field(default=1.0, init=False)
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor: lowers the rate, so between 0 and 1, got {self.factor}")
        self._patience = Patience(self.patience)

    def __call__(self, progress: float) -> float:
        """The factor."""
        return _warm_up(progress, self.warmup)[0] * self._reduced

    def observe(self, scores: Mapping[str, float]) -> None:
        """Lower the rate when the validation has stood still for long enough."""
        if self._patience.observe(scores["val_dice"]):
            self._reduced = max(self.end, self._reduced * self.factor)

    def state_dict(self) -> dict[str, Any]:
        """The factor reached, and how long the figure has stood still."""
        return {"reduced": self._reduced, "patience": self._patience.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._reduced = state["reduced"]
        self._patience.load_state_dict(state["patience"])


def _warm_up(progress: float, warmup: float) -> tuple[float, float]:
    """The factor of the rise, and the progress of what follows it."""
    if progress < warmup:
        return progress / warmup, 0.0
    return 1.0, (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0


def _swing(start: float, end: float, share: float) -> float:
    """Half a cosine from one value to the other."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
