"""Counting how long a figure has not improved."""

from typing import Any

__all__ = ["Patience"]


class Patience:
    """Tells when a figure, the higher the better, has not risen for `limit` looks in a row."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"patience: at least one validation has to be waited for, got {limit}")
        self.limit = limit
        self.best = float("-inf")
        self.waited = 0

    def observe(self, figure: float) -> bool:
        """Whether the limit is reached with this look; the count then begins anew.

        A figure that is not a number is no improvement.
        """
        if figure > self.best:
            self.best, self.waited = figure, 0
            return False
        self.waited += 1
        reached = self.waited >= self.limit
        if reached:
            self.waited = 0
        return reached

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.waited = state["best"], state["waited"]
