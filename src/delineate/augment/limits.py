"""What arguments of a transform may be; outside, an error names transform, argument and range."""

from collections.abc import Sequence
from math import inf, isfinite

__all__ = ["check_number", "check_probability", "check_range"]


def check_number(part: object, name: str, value: float, *, low: float, high: float = inf) -> None:
    """A finite number from low to high."""
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"{type(part).__name__}: {name} {value} must lie {_between(low, high)}.")


def check_range(
    part: object, name: str, value: Sequence[float], *, low: float, high: float = inf
) -> None:
    """The lowest and highest value of a draw, both finite and from low to high, in this order."""
    fits = len(value) == 2 and all(map(isfinite, value)) and low <= value[0] <= value[1] <= high
    if not fits:
        raise ValueError(
            f"{type(part).__name__}: {name} {tuple(value)} must be (lowest, highest) "
            f"{_between(low, high)}."
        )


def check_probability(part: object, value: float) -> None:
    """A share of the samples."""
    check_number(part, "probability", value, low=0, high=1)


def _between(low: float, high: float) -> str:
    if low == -inf:
        return "among finite numbers"
    return f"at or above {low:g}" if high == inf else f"within {low:g} and {high:g}"
