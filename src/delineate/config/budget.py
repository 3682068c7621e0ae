"""How long training may take: so much time, so many steps, or so many epochs."""

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

__all__ = ["BUDGET_WORDS", "Budget"]

Unit = Literal["s", "min", "h", "steps", "epochs"]

BUDGET_WORDS = "a budget such as 90s, 10min, 2h, 500 steps or 100 epochs"
SECONDS = {"s": 1, "min": 60, "h": 3600}
PATTERN = r"([0-9]+(?:\.[0-9]+)?) ?(s|min|h|steps|epochs)"


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of time, steps or epochs: one of `seconds`, `steps`, `epochs` is set."""

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit) or not 0 < self.amount < float("inf"):
            raise ValueError(f"wants {BUDGET_WORDS}, got '{self.amount} {self.unit}'.")
        if self.unit not in SECONDS and self.amount != int(self.amount):
            raise ValueError(f"wants a whole number of {self.unit}, got {self.amount}.")

    def __str__(self) -> str:
        amount = int(self.amount) if self.amount == int(self.amount) else self.amount
        return f"{amount}{self.unit}" if self.unit in SECONDS else f"{amount} {self.unit}"

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read '10min' or '500 steps'; a ValueError says what is wanted."""
        found = re.fullmatch(PATTERN, text.strip())
        if found is None:
            raise ValueError(f"wants {BUDGET_WORDS}, got '{text}'.")
        amount, unit = found.groups()
        return cls(float(amount), cast(Unit, unit))

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds, or None where the budget is not a time."""
        return self.amount * SECONDS[self.unit] if self.unit in SECONDS else None

    @property
    def steps(self) -> int | None:
        """Optimiser steps, or None."""
        return int(self.amount) if self.unit == "steps" else None

    @property
    def epochs(self) -> int | None:
        """Epochs, or None."""
        return int(self.amount) if self.unit == "epochs" else None
