"""Tables of slices: a row each, of the validation and the test set, by the best weights."""

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from delineate.io import atomic_path

__all__ = ["mean_figures", "write_rows"]


def write_rows(path: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """A CSV with a line for each slice, in the order of their names."""
    ordered = [rows[name] for name in sorted(rows)]
    columns = list(dict.fromkeys(key for row in ordered for key in row))
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            for row in ordered
        )


def mean_figures(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The means over slices of what has one, such as Dice."""
    found = {}
    for name in ("dice", "iou", "right"):
        values = [float(row[name]) for row in rows.values() if name in row]
        if values:
            found[name] = fmean(values)
    return found
