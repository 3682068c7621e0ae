"""How far a training has come, from 0 to 1: by optimiser steps, or by wall-clock time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Clock"]


@dataclass(slots=True, kw_only=True)
class Clock:
    """Progress towards a budget of steps or of seconds; everything scheduled reads it.

    A budget in seconds counts all that happens between `start` and the end, validations included.
    """

    steps: int | None = None
    seconds: float | None = None
    step: int = 0
    """Optimiser steps done."""
    reserve: float = 0.0
    """Seconds to keep back for what must still happen after the last step."""
    ended: bool = False
    """Whether training is over before the budget is used up."""
    bend: Callable[[float], float] | None = None
    """From the share of the budget that is used to progress, where training is to end earlier."""
    _started: float = field(default=0.0)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("a clock needs a budget of steps or of seconds, and only one of them")

    def start(self, elapsed: float = 0.0) -> None:
        """Begin to count, as if `elapsed` seconds had already passed."""
        self._started = time.monotonic() - elapsed

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def used(self) -> float:
        """The share of the budget that is used, at most 1."""
        if self.steps is not None:
            return min(1.0, self.step / self.steps)
        assert self.seconds is not None
        return min(1.0, self.elapsed / max(self.seconds - self.reserve, 1e-9))

    @property
    def progress(self) -> float:
        """What schedules go by: the share of the budget that is used, unless it is bent."""
        return self.used if self.bend is None else self.bend(self.used)

    @property
    def done(self) -> bool:
        """Whether the budget is used up, or training has ended before."""
        return self.ended or self.progress >= 1.0

    def state_dict(self) -> dict[str, Any]:
        """How far it has come; whoever has bent it does so again."""
        return {
            "step": self.step,
            "elapsed": self.elapsed,
            "reserve": self.reserve,
            "ended": self.ended,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: the time in between does not count."""
        self.step, self.reserve, self.ended = state["step"], state["reserve"], state["ended"]
        self.start(state["elapsed"])
