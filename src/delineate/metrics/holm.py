"""Many tests at once: p-values that count all of them."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Any, ClassVar, Protocol, TypeVar

__all__ = ["correct", "holm"]


class Tested(Protocol):
    """A dataclass with the p of one test, and a field `adjusted`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def p(self) -> float:
        """Of this test alone."""
        ...


AnyTested = TypeVar("AnyTested", bound=Tested)


def correct(found: Sequence[AnyTested]) -> tuple[AnyTested, ...]:
    """The same, `adjusted` counting all of these tests."""
    adjusted = holm([each.p for each in found])
    return tuple(replace(each, adjusted=p) for each, p in zip(found, adjusted, strict=True))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down correction, in the order given; NaN is no test and stays NaN.

    The chance of even one false alarm among all tests is at most the level at which the corrected
    values are read, however the tests depend on each other.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not isnan(p))
    corrected = [nan] * len(p_values)
    least = 0.0
    for done, (p, i) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - done)))
        corrected[i] = least
    return tuple(corrected)
