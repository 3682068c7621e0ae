"""One line of the results: the same work done by us and by a peer, as text and as JSON."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

FASTER_IS_LESS = "s"
"""Seconds fall as a tool gets faster; every other unit is a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What each side reached, and what we have set ourselves."""

    work: str
    peer: str
    ours: float
    theirs: float
    unit: str
    bar: float | None = None
    """How many times as fast as the peer we want to be; None where nothing was promised."""

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer we are."""
        return self.theirs / self.ours if self.unit == FASTER_IS_LESS else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        return None if self.bar is None else self.ratio >= self.bar

    def __str__(self) -> str:
        bar = "" if self.bar is None else f" (bar {self.bar:g})"
        return (
            f"{self.work}: delineate {self.ours:.4g} {self.unit}, {self.peer} "
            f"{self.theirs:.4g} {self.unit}: {self.ratio:.2f} times as fast{bar}"
        )


def say(item: Figure | str) -> None:
    """Print a figure, or a remark on the figures, once to be read and once as a line of JSON."""
    print(item)
    print(json.dumps({"remark": item} if isinstance(item, str) else asdict(item)), flush=True)


def heard(lines: Iterable[str]) -> Iterator[Figure | str]:
    """The figures and remarks among the lines that a script has printed."""
    for line in lines:
        if line.startswith('{"remark":'):
            yield str(json.loads(line)["remark"])
        elif line.startswith('{"work":'):
            yield Figure(**json.loads(line))
