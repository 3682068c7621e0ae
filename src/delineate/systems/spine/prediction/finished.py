"""What a command says when it is done."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last words of a command."""

    lines: tuple[str, ...]
    folder: Path
    """Where its files lie."""
    failed: int = 0
    """What could not be done; the exit code is 2 unless it is none."""
