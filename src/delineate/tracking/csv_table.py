"""metrics.csv of the run folder."""

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from delineate.tracking.row_file import RowFile

__all__ = ["CsvTable"]


class CsvTable(Logger):
    """One row a call in metrics.csv, each flushed at once; a figure that is not known is blank.

    The first row makes the file anew, unless a state to go on from was loaded before it.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        super().__init__()
        self.path = path
        self.columns = ("step", *columns)
        self._rows = RowFile(path, heading=_line(self.columns))

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Always empty: a run is one folder."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """How long the table is."""
        return self._rows.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut off the rows that came after that state, and go on."""
        self._rows.load_state_dict(state)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; a figure without a column is a ValueError."""
        row = {"step": step, **metrics}
        unknown = row.keys() - set(self.columns)
        if unknown:
            raise ValueError(f"metrics.csv has no column for {sorted(unknown)}")
        self._rows.append(_line(_short(row.get(c)) for c in self.columns))

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing to add: config.yaml and plan.json lie beside the table."""


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
