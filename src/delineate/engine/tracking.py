"""Where figures go during training: metrics.csv in the run folder."""

import csv
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

__all__ = ["CsvTable"]


class CsvTable(Logger):
    """One row a call in metrics.csv, each flushed at once; a figure that is not known is blank."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        super().__init__()
        self.path = path
        self.columns = ("step", *columns)
        self._begin()

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Always empty: a run is one folder."""
        return ""

    @rank_zero_only
    def _begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as file:
            csv.writer(file).writerow(self.columns)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; a figure without a column is a ValueError."""
        row = {"step": step, **metrics}
        unknown = row.keys() - set(self.columns)
        if unknown:
            raise ValueError(f"metrics.csv has no column for {sorted(unknown)}")
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(_short(row.get(c)) for c in self.columns)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing to add: config.yaml and plan.json lie beside the table."""


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
