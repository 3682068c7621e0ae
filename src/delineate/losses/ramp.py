"""How a weight moves over the run."""

from dataclasses import dataclass

__all__ = ["Ramp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A function of the run's progress (0 to 1): a straight line from `start` to `end`."""

    start: float
    """The value until `begin`."""
    end: float
    """The value from `finish` on."""
    begin: float = 0.0
    """The progress at which it starts to move."""
    finish: float = 1.0
    """The progress at which it has arrived; where that is `begin` too, it jumps there."""

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.finish <= 1:
            raise ValueError(
                f"Ramp: begin is {self.begin:g} and finish {self.finish:g}. "
                "Fix: 0 <= begin <= finish <= 1."
            )

    def __call__(self, progress: float) -> float:
        """The value at this share of the run."""
        if progress >= self.finish:
            return self.end
        way = max(0.0, progress - self.begin) / (self.finish - self.begin or 1.0)
        return self.start + way * (self.end - self.start)
