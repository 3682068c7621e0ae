"""What is known of the cases besides their masks, from a CSV: site, scanner, age, patient."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.metrics.table import csv_lines

__all__ = ["Strata", "groups_of", "read_strata", "terciles"]

CASE = "case"
PATIENT = ("patient", "patient_id", "subject", "subject_id")
FEW_NUMBERS = 6
"""A column of numbers with more different values is cut in three."""
SIZES = ("low", "middle", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """The columns of a table of cases."""

    columns: Mapping[str, Mapping[str, str]]
    """By column: the entry of each case; a blank is left out."""
    patients: Mapping[str, str]
    """The patient of each case; empty where no column tells."""


def read_strata(path: Path) -> Strata:
    """Read a CSV with a column `case`; commas, semicolons or tabs part its columns.

    A column `patient` or `subject` says whose the cases are; every other one groups them.
    """
    entries: dict[str, dict[str, str]] = {}
    patients: dict[str, str] = {}
    seen: set[str] = set()
    for where, line in _lines(path):
        case = line.pop(CASE)
        if case in seen:
            raise DataError(f"{where}: the case '{case}' has a line already. Fix: keep one.")
        seen.add(case)
        for column, entry in line.items():
            kept = patients if column.lower() in PATIENT else entries.setdefault(column, {})
            if entry:
                kept[case] = entry
    return Strata(columns=entries, patients=patients)


def groups_of(entries: Mapping[str, str]) -> dict[str, str]:
    """The group of each case, groups in order: the entry itself, or the third of many numbers."""
    numbers = {case: _number(entry) for case, entry in entries.items()}
    known = {case: number for case, number in numbers.items() if number is not None}
    if len(known) == len(entries) and len(set(known.values())) > FEW_NUMBERS:
        return terciles(known)
    if len(known) == len(entries):
        return dict(sorted(entries.items(), key=lambda item: known[item[0]]))
    return dict(sorted(entries.items(), key=lambda item: item[1]))


def terciles(
    values: Mapping[str, float], *, names: tuple[str, str, str] = SIZES, unit: str = ""
) -> dict[str, str]:
    """Cases in three groups of about equal number, with the ends of each: 'low, 21 to 40'.

    Equal values stay together, so groups may differ in number, or there may be fewer.
    """
    figures = np.array(list(values.values()))
    cuts = np.quantile(figures, (1 / 3, 2 / 3))
    third = np.searchsorted(cuts, figures)
    ends = {i: (figures[third == i].min(), figures[third == i].max()) for i in set(third.tolist())}
    called = {i: f"{names[i]}, {low:.3g} to {high:.3g}{unit}" for i, (low, high) in ends.items()}
    order = np.argsort(figures, kind="stable")
    cases = list(values)
    return {cases[i]: called[int(third[i])] for i in order}


def _lines(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each line with its place; entries without the blanks around them."""
    lines = csv_lines(path)
    head = lines[0] if lines else ""
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=head.count), restval="")
    names = [name.strip() for name in reader.fieldnames or ()]
    if CASE not in names:
        raise DataError(
            f"{path}: the first line must name the column {CASE}; it names "
            f"{', '.join(names) or 'none'}."
        )
    reader.fieldnames = names
    for line in reader:
        where = f"{path}:{reader.line_num}"
        if None in line:
            raise DataError(f"{where}: more entries than the first line has columns.")
        yield where, {name: entry.strip() for name, entry in line.items()}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
