"""Figures with their uncertainty as text: intervals, differences, p-values, and how many."""

from math import isnan

__all__ = ["how_many", "interval", "probability", "signed", "tested"]

LEAST = 0.0001
"""The last digit of a p-value that is printed."""


def interval(low: float, high: float, *, difference: bool = False) -> str:
    """'0.8123 to 0.8456'; '-' where there is none.

    Args:
        difference: Print the sign, too.
    """
    if isnan(low):
        return "-"
    figure = signed if difference else _figure
    return f"{figure(low)} to {figure(high)}"


def signed(value: float, *, decimals: int | None = None) -> str:
    """A difference, '+0.0123'."""
    if isnan(value):
        return "-"
    return f"{value:+.{_decimals(value) if decimals is None else decimals}f}"


def probability(value: float) -> str:
    """A p-value in a table."""
    if isnan(value):
        return "-"
    return f"<{LEAST}" if value < LEAST else f"{value:.4f}"


def tested(value: float) -> str:
    """A p-value in a sentence: 'p = 0.0123'."""
    return f"p < {LEAST}" if value < LEAST else f"p = {probability(value)}"


def how_many(number: int, name: str) -> str:
    """'1 case', '2 cases'."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def _figure(value: float) -> str:
    return f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    return 4 if abs(value) < 10 else 1
