"""The length of a training that adapts: a Dice that no longer rises ends it early.

Either at once, or by a tail: what is left of the schedule is gone through in a quarter of what was
done so far, so that the rate falls from where it is to its end, where most of the last gain lies.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from delineate.engine.clock import Clock
from delineate.engine.patience import Patience

__all__ = ["TAIL", "AdaptiveLength", "Tail"]

log = logging.getLogger("delineate")

TAIL = 0.25
"""The length of a tail as a share of the training before it."""


@dataclass(frozen=True, slots=True)
class Tail:
    """From the share of the budget that is used to progress: faster from `start`, 1 at `end`."""

    start: float
    end: float

    def __call__(self, used: float) -> float:
        """The progress; continuous, so that no rate and no ramp jumps."""
        if used <= self.start:
            return used
        if used >= self.end:
            return 1.0
        return self.start + (used - self.start) * (1 - self.start) / (self.end - self.start)


class AdaptiveLength:
    """Ends the training of `clock` early after `patience` validations without a better Dice.

    A Dice of 0 is not waited on: a network that has found nothing yet is not on a plateau. With
    a budget in steps all is a function of the scores. It watches: see `schedules.Watcher`.

    Args:
        on_plateau: `tail` lets the rate fall to its end first, `stop` ends after the next step.
    """

    def __init__(self, clock: Clock, *, patience: int, on_plateau: Literal["tail", "stop"]) -> None:
        self.clock = clock
        self.on_plateau = on_plateau
        self._patience = Patience(patience)
        self._over = False
        self._tail: Tail | None = None

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take in the figures of a validation; on a plateau, act once."""
        dice = scores["val_dice"]
        if self._over or (dice <= 0 and self._patience.best <= 0):
            return
        if self._patience.observe(dice):
            self._over = True
            self._act()

    def _act(self) -> None:
        used = self.clock.used
        end = used if self.on_plateau == "stop" else used * (1 + TAIL)
        found = (
            f"step {self.clock.step}: no better Dice than {self._patience.best:.4f} "
            f"in {self._patience.limit} validations"
        )
        if end >= 1:
            log.info("%s; training ends soon as it is", found)
            return
        if self.on_plateau == "stop":
            self.clock.ended = True
            log.info("%s: training ends; %s", found, self._say_saved(end))
            return
        self._tail = self.clock.bend = Tail(used, end)
        tail = f"{end - used:.0%} of the budget"
        if self.clock.steps is not None:
            tail = f"{round((end - used) * self.clock.steps)} steps"
        log.info("%s: the rate falls to its end over %s; %s", found, tail, self._say_saved(end))

    def _say_saved(self, end: float) -> str:
        minutes = (1 - end) * self.clock.elapsed / max(self.clock.used, 1e-9) / 60
        return f"{1 - end:.0%} of the budget are saved (about {minutes:.1f} minutes)"

    def state_dict(self) -> dict[str, Any]:
        """The best Dice, how long it stands, and the tail if it has begun."""
        return {
            "patience": self._patience.state_dict(),
            "over": self._over,
            "tail": None if self._tail is None else (self._tail.start, self._tail.end),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, the clock included."""
        self._patience.load_state_dict(state["patience"])
        self._over, tail = state["over"], state["tail"]
        self._tail = None if tail is None else Tail(*tail)
        self.clock.bend = self._tail
