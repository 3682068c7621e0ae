"""What became of every weight at the start of a training, as a table to read and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal

from delineate.engine.adaptation import spell

__all__ = ["STATUSES", "Report", "Row", "Status"]

Status = Literal["loaded", "adapted", "skipped", "left"]
STATUSES: Mapping[Status, str] = {
    "loaded": "as it is in the file",
    "adapted": "made to fit",
    "skipped": "in the file, but not for this network",
    "left": "in the network, but not in the file: its fresh start stays",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one weight."""

    name: str | None
    """In the network; None for a weight of the file that the network has no place for."""
    source: str | None
    """In the file; None for a weight that the file does not have."""
    status: Status
    shape: tuple[int, ...]
    """In the network; in the file where the network has no place for it."""
    note: str = ""
    """How it was adapted, or why it was skipped."""

    @property
    def numbers(self) -> int:
        """How many numbers of the network it is."""
        return 0 if self.name is None else prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of all weights of a network, and of all of the file."""

    source: str
    """What the weights come from, in a few words."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """How many weights this happened to."""
        return sum(row.status == status for row in self.rows)

    def share(self, *statuses: Status) -> float:
        """The part of the network's numbers that this happened to."""
        total = sum(row.numbers for row in self.rows)
        return sum(row.numbers for row in self.rows if row.status in statuses) / max(total, 1)

    @property
    def summary(self) -> str:
        """Counts and shares in one line."""
        parts = [f"{self.count(s)} {s} ({100 * self.share(s):.1f} %)" for s in STATUSES]
        return f"weights from {self.source}: {', '.join(parts)}"

    def __str__(self) -> str:
        """The summary, the notes, and a line per weight."""
        cells = [
            (row.status, row.name or "-", spell(row.shape), _from(row), row.note)
            for row in self.rows
        ]
        cells.insert(0, ("status", "weight", "shape", "from", "how or why"))
        widths = [max(len(line[i]) for line in cells) for i in range(4)]
        lines = ["  ".join((*map(str.ljust, line, widths), line[4])).rstrip() for line in cells]
        return "\n".join([self.summary, *self.notes, "", *lines])

    def to_json(self) -> dict[str, Any]:
        """Plain data: the summary, counts and shares by status, notes and all rows."""
        return {
            "source": self.source,
            "summary": self.summary,
            "counts": {status: self.count(status) for status in STATUSES},
            "shares": {status: self.share(status) for status in STATUSES},
            "notes": list(self.notes),
            "weights": [{**asdict(row), "shape": list(row.shape)} for row in self.rows],
        }


def _from(row: Row) -> str:
    """The name in the file, where it is another one."""
    if row.source is None:
        return "-"
    return "=" if row.source == row.name else row.source
