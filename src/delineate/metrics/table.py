"""The figures of all cases: one row per case and class, one column per metric.

The mean of a metric is the mean over cases of each case's mean over classes: every case counts the
same, however many classes it has a figure for. NaN (no value) is left out at each step.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.metrics.bootstrap import mean_interval
from delineate.metrics.direction import bounds

__all__ = [
    "Row",
    "Table",
    "csv_lines",
    "join_tables",
    "known_mean",
    "read_table",
    "read_tables",
    "summarise",
    "write_table",
]

KEYS = ("case", "class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of one class in one case; NaN where a figure has no value."""

    case: str
    label: str
    """The name of the class."""
    values: Mapping[str, float]
    """By metric, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order in which they were measured."""

    rows: tuple[Row, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case once, in order."""
        return tuple(dict.fromkeys(row.case for row in self.rows))

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of every class once, in order."""
        return tuple(dict.fromkeys(row.label for row in self.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every column once, in order."""
        return tuple(dict.fromkeys(metric for row in self.rows for metric in row.values))

    def values(self, metric: str) -> np.ndarray:
        """(cases, classes), NaN where a figure has no value or was not measured."""
        if metric not in self.metrics:
            raise ValueError(f"no metric '{metric}'; the table has {', '.join(self.metrics)}")
        cases = {case: i for i, case in enumerate(self.cases)}
        labels = {label: j for j, label in enumerate(self.labels)}
        found = np.full((len(cases), len(labels)), nan)
        for row in self.rows:
            found[cases[row.case], labels[row.label]] = row.values.get(metric, nan)
        return found

    def case_means(self, metric: str) -> dict[str, float]:
        """The mean over the classes of each case."""
        means = known_mean(self.values(metric), axis=1)
        return dict(zip(self.cases, means.tolist(), strict=True))

    def class_means(self, metric: str) -> dict[str, float]:
        """The mean over the cases of each class."""
        means = known_mean(self.values(metric), axis=0)
        return dict(zip(self.labels, means.tolist(), strict=True))

    def mean(self, metric: str) -> float:
        """The mean over cases of the means over classes."""
        return float(known_mean(np.array(list(self.case_means(metric).values())), axis=0))

    def interval(self, metric: str, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
        """Where the mean lies when the cases are drawn anew (bootstrap); NaN below two cases."""
        means = list(self.case_means(metric).values())
        return mean_interval(means, level=level, bounds=bounds(metric), seed=seed)

    def __str__(self) -> str:
        columns, rows = summarise(self)
        lines = [columns, *([_figure(v) for v in row] for row in rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        return "\n".join(_aligned(line, widths) for line in lines)


def known_mean(values: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean of what is known (not NaN) along an axis; NaN where nothing is."""
    known = ~np.isnan(values)
    number = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(number > 0, total / np.maximum(number, 1), nan)


def summarise(table: Table) -> tuple[list[str], list[list[str | float]]]:
    """Column names and rows for printing: each class's means over the cases, then the mean."""
    means = [table.class_means(metric) for metric in table.metrics]
    rows: list[list[str | float]] = [[n, *(m[n] for m in means)] for n in table.labels]
    rows.append(["mean", *(table.mean(metric) for metric in table.metrics)])
    return ["class", *table.metrics], rows


def join_tables(first: Table, second: Table) -> Table:
    """The first table with the columns of the second for the same cases and classes besides."""
    more = {(row.case, row.label): row.values for row in second.rows}
    return Table(
        tuple(
            Row(case=r.case, label=r.label, values={**r.values, **more.get((r.case, r.label), {})})
            for r in first.rows
        )
    )


def write_table(table: Table, path: Path) -> None:
    """Save as CSV: case, class, then a column per metric; a figure without a value is blank."""
    metrics = table.metrics
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*KEYS, *metrics))
        for row in table.rows:
            figures = (_text(row.values.get(metric, nan)) for metric in metrics)
            writer.writerow((row.case, row.label, *figures))


def read_table(path: Path) -> Table:
    """Read what `write_table` wrote, or the table of a run's folder; extra columns are kept."""
    path = _find(path)
    reader = csv.DictReader(csv_lines(path))
    metrics = [name for name in reader.fieldnames or () if name not in KEYS]
    if not set(KEYS) <= set(reader.fieldnames or ()):
        raise DataError(f"{path}: the first line must name the columns case and class.")
    rows: dict[tuple[str, str], Row] = {}
    for line in reader:
        where = f"{path}:{reader.line_num}"
        row = _row(line, metrics, where)
        if (row.case, row.label) in rows:
            raise DataError(
                f"{where}: {row.label} of {row.case} has a line already. Fix: keep one."
            )
        rows[row.case, row.label] = row
    return Table(tuple(rows.values()))


def csv_lines(path: Path) -> list[str]:
    """The lines of a CSV with their ends; other text than UTF-8 is a DataError."""
    try:
        # A spreadsheet begins its CSV with a byte order mark.
        return path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is no text in UTF-8. Fix: save it as CSV UTF-8.") from None


def read_tables(paths: Sequence[Path]) -> dict[str, Table]:
    """Read tables or runs; each is named by the last parts of its path that tell it apart."""
    places = [_parts(path) for path in paths]
    for i, path in enumerate(paths):
        if places[i] in places[:i]:
            raise DataError(f"compare: {path} is given twice. Fix: give different tables.")
    number = 1
    while len({parts[-number:] for parts in places}) < len(places):
        number += 1
    names = ("/".join(parts[-number:]) for parts in places)
    return {name: read_table(path) for name, path in zip(names, paths, strict=True)}


def _parts(path: Path) -> tuple[str, ...]:
    """The parts of a path that tell a table apart: runs/a/validation/table.csv is runs/a."""
    full = path.resolve()
    if full.name == "table.csv":
        full = full.parent
    elif full.suffix == ".csv":
        full = full.with_suffix("")
    return (full.parent if full.name == "validation" else full).parts[1:]


def _find(path: Path) -> Path:
    """The table itself, or the one in the folder of a training or of a cross-validation."""
    places = (path, path / "table.csv", path / "validation" / "table.csv")
    for place in places:
        if place.is_file():
            return place
    raise DataError(
        f"{path}: there is no table here. Fix: give a table.csv or the folder of a finished run."
    )


def _row(line: dict[str, str], metrics: list[str], where: str) -> Row:
    # What csv makes of too many entries, and of too few.
    if None in line or None in line.values():
        raise DataError(f"{where}: the line has more or fewer entries than the first has columns.")
    try:
        values = {name: float(line[name]) if line[name] else nan for name in metrics}
    except ValueError:
        raise DataError(f"{where}: {list(line.values())} has an entry that is no number.") from None
    return Row(case=line["case"], label=line["class"], values=values)


def _text(value: float) -> str:
    return "" if isnan(value) else f"{value:.9g}"


def _figure(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "-" if isnan(value) else f"{value:.4g}" if abs(value) >= 10 else f"{value:.4f}"


def _aligned(line: list[str], widths: list[int]) -> str:
    first, *rest = (
        text.ljust(width) if i == 0 else text.rjust(width)
        for i, (text, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()
