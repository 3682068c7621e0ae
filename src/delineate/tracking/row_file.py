"""A text file of rows that a resumed training goes on with, without a row twice."""

import os
from abc import abstractmethod
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

__all__ = ["RowFile"]


class RowFile(Logger):
    """A file of the run folder with a line for each row of figures, on its way to the disk at once.

    The first line makes the file anew, unless a state to go on from was loaded before it.
    """

    def __init__(self, path: Path, heading: str = "") -> None:
        super().__init__()
        self.path = path
        self.heading = heading
        self._begun = False

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Always empty: a run is one folder."""
        return ""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row."""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing to add: config.yaml and plan.json lie beside the file."""

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
