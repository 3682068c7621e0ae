"""A text file of rows that a resumed training goes on with, without a row twice."""

import os
from pathlib import Path
from typing import Any

__all__ = ["RowFile"]


class RowFile:
    """Lines, each on its way to the disk at once.

    The first line makes the file anew, unless a state to go on from was loaded before it.
    """

    def __init__(self, path: Path, heading: str = "") -> None:
        self.path = path
        self.heading = heading
        self._begun = False

    def append(self, line: str) -> None:
        """Add a line, which brings its own end."""
        if not self._begun:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write("w", self.heading)
            self._begun = True
        self._write("a", line)

    def state_dict(self) -> dict[str, Any]:
        """How long the file is."""
        return {"bytes": self.path.stat().st_size if self._begun else 0}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut off the lines that came after that state, and go on."""
        if state["bytes"] and self.path.is_file():
            os.truncate(self.path, min(state["bytes"], self.path.stat().st_size))
            self._begun = True

    def _write(self, mode: str, text: str) -> None:
        with self.path.open(mode, newline="", encoding="utf-8") as file:
            file.write(text)
