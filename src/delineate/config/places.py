"""Where a value was written and what is wrong with it: the parts of every message."""

from collections.abc import Iterable
from dataclasses import dataclass

from delineate.errors import ConfigError

__all__ = ["Key", "Mistake", "Place", "Places", "dotted", "find_place", "refuse"]

Key = tuple[str | int, ...]
"""The way to a value: ('loss', 0, 'weight')."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, or the command line, which has none."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


Places = dict[Key, Place]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend."""

    key: Key
    place: Place | None
    text: str

    def __str__(self) -> str:
        return self.text if self.place is None else f"{self.place}: {self.text}"


def dotted(key: Key) -> str:
    """The way to a value as it is written on the command line: loss.0.weight."""
    return ".".join(str(step) for step in key)


def find_place(key: Key, places: Places) -> Place | None:
    """Where the value or the nearest section around it was written."""
    for length in range(len(key), -1, -1):
        if key[:length] in places:
            return places[key[:length]]
    return None


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Report every mistake at once, in reading order; nothing happens where there is none."""
    found = sorted(mistakes, key=_reading_order)
    if found:
        raise ConfigError("\n".join(str(m) for m in found))


def _reading_order(mistake: Mistake) -> tuple[bool, int]:
    line = mistake.place.line if mistake.place else None
    return line is None, line or 0
