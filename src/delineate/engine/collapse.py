"""A warning where training goes on but finds nothing."""

import logging
from collections.abc import Mapping
from typing import Any

__all__ = ["CollapseWarning"]

log = logging.getLogger("delineate")

NOTHING = 1e-3
"""A mean Dice below this is a class that is not found."""


class CollapseWarning:
    """Warns once of a network that predicts background only, and once of classes it never finds.

    A class that some validation cases lack scores there for not being found, and is not warned of.
    It watches the validation: see `schedules.Watcher`.

    Args:
        patience: how many validations in a row have to find nothing.
    """

    def __init__(self, *, patience: int = 3) -> None:
        self.patience = patience
        self._barren: dict[str, int] = {}
        self._told: set[str] = set()

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take in `val_dice/<class>` of a validation."""
        dice = {
            key.removeprefix("val_dice/"): score
            for key, score in scores.items()
            if key.startswith("val_dice/")
        }
        for name, score in dice.items():
            # A class that no case has scores nothing but NaN: that is no reason to warn.
            found = score >= NOTHING or score != score
            self._barren[name] = 0 if found else self._barren.get(name, 0) + 1
        missed = [name for name in dice if self._barren[name] >= self.patience]
        fresh = [name for name in missed if name not in self._told]
        self._told.update(fresh)
        if fresh and len(missed) == len(dice):
            self._warn_of_collapse()
        elif fresh:
            self._warn_of_classes(fresh)

    def _warn_of_collapse(self) -> None:
        log.warning(
            "nothing was found in %d validations in a row: the network predicts background only. "
            "Fix: a larger train.foreground (0.7), a lower optimizer.lr (a third), a loss with a "
            "region term (Dice, Tversky), or look at the labels with delineate doctor.",
            self.patience,
        )

    def _warn_of_classes(self, names: list[str]) -> None:
        log.warning(
            "never found in %d validations in a row: %s. Fix: train longer, a larger train.rare "
            "(0.5), a loss that does not drown rare classes (Dice, GeneralisedDice, Tversky), or "
            "check that the training cases have them.",
            self.patience,
            ", ".join(names),
        )

    def state_dict(self) -> dict[str, Any]:
        """For how long each class was not found, and what was said."""
        return {"barren": dict(self._barren), "told": sorted(self._told)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._barren, self._told = dict(state["barren"]), set(state["told"])
