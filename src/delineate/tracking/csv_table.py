"""metrics.csv of the run folder."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from delineate.tracking.row_file import RowFile

__all__ = ["CsvTable"]


class CsvTable(RowFile):
    """One row a call in metrics.csv; a figure that is not known is blank."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        self.columns = ("step", *columns)
        super().__init__(path, heading=_line(self.columns))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; a figure without a column is a ValueError."""
        row = {"step": step, **metrics}
        unknown = row.keys() - set(self.columns)
        if unknown:
            raise ValueError(f"metrics.csv has no column for {sorted(unknown)}")
        self.append(_line(_short(row.get(c)) for c in self.columns))


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"
