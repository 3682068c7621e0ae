"""PyTorch's own schedulers as functions of progress; their units are optimiser steps."""

from typing import cast

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from delineate.engine.schedules import Schedule
from delineate.errors import ConfigError

__all__ = ["Stepwise", "as_schedule", "rate_holder"]


def rate_holder(lr: float) -> Optimizer:
    """An optimiser of nothing, to build a scheduler on: the real one is left to the engine."""
    return SGD([torch.zeros((), requires_grad=True)], lr=lr)


def as_schedule(made: object, *, steps: int | None) -> Schedule:
    """What was built from the configuration, as a function of progress.

    Args:
        steps: the optimiser steps of the whole training, None where its budget is in time.
    """
    if isinstance(made, ReduceLROnPlateau):
        raise ConfigError("schedule: ReduceLROnPlateau is not stepped here. Fix: name: Plateau.")
    if isinstance(made, LRScheduler):
        name = type(made).__name__
        if steps is None:
            raise ConfigError(
                f"schedule: {name} counts optimiser steps, and a budget in time has no number of "
                "them. Fix: a budget in steps or epochs, or one of ours: Cosine, Poly, OneCycle, "
                "WarmRestarts, Step, Constant."
            )
        return Stepwise(made, steps)
    if not callable(made):
        raise ConfigError(
            f"schedule: a {type(made).__name__} is no schedule. Fix: name a class whose objects, "
            "called with the progress from 0 to 1, give the factor on the rate."
        )
    return cast(Schedule, made)


class Stepwise:
    """A scheduler that was built on a `rate_holder`; the factor is a pure function of progress."""

    def __init__(self, scheduler: LRScheduler, steps: int) -> None:
        self._scheduler = scheduler
        self._last = max(0, steps - 1)
        self._steps = steps
        self._full = float(scheduler.optimizer.defaults["lr"])
        self._factors = [self._factor()]

    def __call__(self, progress: float) -> float:
        """The factor."""
        step = min(self._last, round(progress * self._steps))
        while len(self._factors) <= step:
            self._scheduler.optimizer.step()  # PyTorch warns of a scheduler that is ahead of it
            self._scheduler.step()
            self._factors.append(self._factor())
        return self._factors[step]

    def _factor(self) -> float:
        return float(self._scheduler.optimizer.param_groups[0]["lr"]) / self._full
