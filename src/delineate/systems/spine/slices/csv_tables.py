"""The crawler of a CSV table: a row a slice, with a column for its path and one for its label."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate.config.words import did_you_mean, join
from delineate.errors import DataError
from delineate.io.paths import suffix_of
from delineate.systems.spine.slices.folders import PHASES
from delineate.systems.spine.slices.rows import Row

__all__ = ["csv_rows"]

COLUMNS = {
    "path": ("path", "input_path", "image", "image_path", "file", "filename", "file_name", "img"),
    "label": ("label", "class", "target", "mask", "mask_path", "label_path", "category", "y"),
    "phase": ("phase", "split", "set", "subset", "partition"),
    "patient": ("patient", "patient_id", "group", "subject", "subject_id", "pid"),
}
"""What the columns may be called, in any case."""


def csv_rows(
    root: Path,
    *,
    file: str | None = None,
    path: str | None = None,
    label: str | None = None,
    phase: str | None = None,
    patient: str | None = None,
) -> list[Row]:
    """The rows of a table; paths in it are relative to it.

    Args:
        root: The table, or the folder that holds it.
        file: Its name in that folder; None where there is one alone.
        path: The column of images; None knows path, image, file and the like.
        label: The column of classes or of masks; None knows label, class, mask and the like.
        phase: The column of train, val or test; None knows phase and split, and may be absent.
        patient: The column of patients; None knows patient, group and subject, and may be absent.
    """
    table = _table(root, file)
    header, lines = _read(table)
    asked = {"path": path, "label": label, "phase": phase, "patient": patient}
    column = {role: _column(table, header, role, name) for role, name in asked.items()}
    rows = [_row(table, number, line, column) for number, line in lines]
    if not rows:
        raise DataError(f"{table}: holds no row below its header.")
    return rows


def _table(root: Path, file: str | None) -> Path:
    if root.is_file():
        return root
    if file is not None:
        if not (root / file).is_file():
            raise DataError(f"{root / file}: no such table, which the crawler's params name.")
        return root / file
    found = sorted(p for p in root.iterdir() if p.suffix.lower() in (".csv", ".tsv"))
    if len(found) != 1:
        listed = ", ".join(p.name for p in found[:4]) or "none"
        raise DataError(
            f"{root}: the crawler 'csv' wants one table here, there are: {listed}. "
            "Fix: name it with file: in the crawler's params."
        )
    return found[0]


def _read(table: Path) -> tuple[list[str], Sequence[tuple[int, Mapping[str, str]]]]:
    """The columns, and each row with its line."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        mark = max(",;\t", key=first.count)
        reader = csv.DictReader(file, delimiter=mark)
        lines = [(reader.line_num, line) for line in reader]
        return list(reader.fieldnames or ()), lines


def _column(table: Path, header: Sequence[str], role: str, asked: str | None) -> str | None:
    """The column of a role; None where a role that may be absent is."""
    if asked is not None and asked in header:
        return asked
    by_lower = {name.strip().lower(): name for name in header}
    found = [by_lower[name] for name in COLUMNS[role] if name in by_lower] if asked is None else []
    if found:
        return found[0]
    if asked is None and role in ("phase", "patient"):
        return None
    wanted = f"'{asked}'" if asked is not None else f"for the {role} ({join(COLUMNS[role], 'or')})"
    raise DataError(
        f"{table}: has no column {wanted}.{did_you_mean(asked or role, header)} "
        f"It has: {', '.join(header)}. Fix: name it with {role}: in the crawler's params."
    )


def _row(
    table: Path, number: int, line: Mapping[str, str], column: Mapping[str, str | None]
) -> Row:
    said = {role: (line.get(name) or "").strip() if name else "" for role, name in column.items()}
    if not said["path"]:
        raise DataError(f"{table}:{number}: names no image.")
    word = said["phase"].lower()
    if column["phase"] and word not in PHASES:
        raise DataError(
            f"{table}:{number}: '{said['phase']}' is no phase. Fix: use train, val or test."
        )
    image = _beside(table, said["path"])
    if not image.is_file():
        raise DataError(f"{table}:{number}: {image} does not exist.")
    label = said["label"] or None
    if label is not None and suffix_of(label) is not None:
        label = str(_beside(table, label))
        if not Path(label).is_file():
            raise DataError(f"{table}:{number}: the mask {label} does not exist.")
    return Row(
        path=str(image),
        name=said["path"].replace("\\", "/"),
        label=label,
        phase=PHASES.get(word),
        patient=said["patient"] or None,
    )


def _beside(table: Path, name: str) -> Path:
    path = table.parent / name
    return path if path.exists() else table.parent / name.replace("\\", "/")
