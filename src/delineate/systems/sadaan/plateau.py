"""What acts on the validation loss: the rate that falls, and the end that comes early."""

import logging
from collections.abc import Mapping
from typing import Any

from delineate.engine.clock import Clock
from delineate.engine.patience import Patience
from delineate.engine.schedules import Plateau
from delineate.engine.validation import VAL_LOSS

__all__ = ["EarlyStop", "LossPlateau"]

log = logging.getLogger("delineate")


class LossPlateau:
    """`Plateau` on the validation loss: the rate falls where it no longer does.

    Args:
        factor: what the rate is multiplied by.
        patience: validations in a row without a lower loss before that.
        end: the lowest factor.
        warmup: the share of the training over which the rate rises from 0.
    """

    def __init__(self, *, factor: float, patience: int, end: float, warmup: float) -> None:
        self._plateau = Plateau(factor=factor, patience=patience, end=end, warmup=warmup)

    def __call__(self, progress: float) -> float:
        """The factor."""
        return self._plateau(progress)

    def observe(self, scores: Mapping[str, float]) -> None:
        """Lower the rate when the loss has stood still for long enough."""
        self._plateau.observe({"val_dice": -scores[VAL_LOSS]})

    def state_dict(self) -> dict[str, Any]:
        """The factor reached, and how long the loss has stood still."""
        return self._plateau.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._plateau.load_state_dict(state)


class EarlyStop:
    """Ends the training of `clock` after `patience` validations without a lower loss."""

    def __init__(self, clock: Clock, *, patience: int) -> None:
        self.clock = clock
        self._patience = Patience(patience)

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take in the figures of a validation."""
        if self._patience.observe(-scores[VAL_LOSS]) and not self.clock.done:
            self.clock.ended = True
            log.info(
                "no lower validation loss than %.4f in %d validations: training ends",
                -self._patience.best,
                self._patience.limit,
            )

    def state_dict(self) -> dict[str, Any]:
        """The lowest loss, and how long it stands."""
        return self._patience.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; the clock saves itself."""
        self._patience.load_state_dict(state)
