"""A CSV or JSON list of any files: one row per case, paths relative to the table."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.datasets.case import Case, Dataset
from delineate.datasets.declared import declared_labels
from delineate.datasets.listing import SPLITS, read_json, split_of
from delineate.errors import DataError
from delineate.io import is_image, stem
from delineate.labels import Labels

__all__ = ["EXPECTS", "columns", "read", "recognise"]

EXPECTS = "one CSV or JSON table with a column 'image' (or image_0, image_1 ...) and one 'label'"

_LABEL = ("label", "mask", "segmentation", "seg", "lesion")
_GROUP = ("group", "patient", "patient_id", "subject", "subject_id")
_ID = ("id", "case", "case_id", "name")
_PRESENCE = re.compile(r"presence[_:](?P<name>.+)")
_SUFFIXES = (".csv", ".tsv", ".json")
_DESCRIPTIONS = ("dataset.json", "dataset_description.json", "metadata.json")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The rows of a table file and which column plays which role."""

    path: Path
    rows: tuple[Row, ...]
    images: tuple[str, ...]
    label: str | None
    labels: Labels | None


def recognise(root: Path) -> bool:
    """Whether the path is a table, or a folder with one table of images and labels."""
    return root.suffix.lower() in _SUFFIXES if root.is_file() else bool(_candidates(root))


def columns(root: Path) -> tuple[str, ...]:
    """The names of all columns."""
    return tuple(dict.fromkeys(name for row in _open(root).rows for name in row))


def read(root: Path, *, group: str | None = None) -> Dataset:
    """One case per row; `group` names the column of patients, else 'group' or 'patient'.

    A row whose image is absent is no case: its files are left over. A label that is absent is None.
    """
    table = _open(root)
    cases: list[Case] = []
    orphans: list[str] = []
    for number, row in enumerate(table.rows, 1):
        images = _images(table, row, number)
        label = _path(table, row.get(table.label)) if table.label else None
        if all(_exists(image) for image in images):
            cases.append(_case(table, row, images, label, group))
        else:
            orphans += [str(path) for path in (*images, label) if path is not None]
    return Dataset(
        root=root if root.is_dir() else root.parent,
        layout="table",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=_channels(table, cases),
        labels=table.labels,
        orphans=tuple(orphans),
    )


def _candidates(folder: Path) -> list[Path]:
    """The tables of a folder that list both images and labels."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in _SUFFIXES and path.name not in _DESCRIPTIONS:
            table = _parse(path)
            if table is not None and table.images and _lists_masks(table):
                found.append(path)
    return found


def _open(root: Path) -> _Table:
    """The table at a path, or the only one of a folder; DataError where it lists no images."""
    if root.is_dir():
        found = _candidates(root)
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise DataError(
                f"{root}: a table with columns 'image' and 'label' was looked for, found: {names}. "
                "Fix: give the path of the table itself."
            )
        root = found[0]
    table = _parse(root)
    if table is None or not table.images:
        raise DataError(
            f"{root}: no column lists images. Fix: name the column 'image' (or image_0, image_1), "
            "with paths relative to the table."
        )
    return table


def _parse(path: Path) -> _Table | None:
    """The rows and the roles of their columns; None where the file is no list of rows."""
    labels = None
    if path.suffix.lower() == ".json":
        data = read_json(path)
        if isinstance(data, Mapping) and "labels" in data and "cases" in data:
            labels = declared_labels(data["labels"], where=str(path))
        rows = _json_rows(data)
    else:
        rows = _csv_rows(path)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    label = next((name for name in names if name.lower() in _LABEL), None)
    images = tuple(n for n in names if n != label and _lists_images(n, rows))
    return _Table(path=path, rows=tuple(rows), images=images, label=label, labels=labels)


def _csv_rows(path: Path) -> list[Row]:
    """The rows of a table separated by commas, semicolons or tabs, as its first line says."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=separator, restval="")
    return [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in reader]


def _json_rows(data: Any) -> list[Row]:
    """The rows of a list, of {"cases": list}, or of {"training": list, "validation": list}."""
    if isinstance(data, list):
        return data
    if not isinstance(data, Mapping):
        return []
    if isinstance(data.get("cases"), list):
        return data["cases"]
    lists = {key: rows for key, rows in data.items() if key in SPLITS and isinstance(rows, list)}
    return [
        {"split": key, **row}
        for key, rows in lists.items()
        for row in rows
        if isinstance(row, dict)
    ]


def _lists_images(name: str, rows: Sequence[Row]) -> bool:
    """Whether a column holds paths of images: by its name, or by every value in it."""
    values = [row[name] for row in rows if row.get(name)]
    if re.fullmatch(r"(image|img)s?(_?\d+)?", name, re.IGNORECASE):
        return True
    return bool(values) and all(isinstance(v, str) and is_image(v) for v in values)


def _lists_masks(table: _Table) -> bool:
    """Whether the label column holds paths, not names of classes."""
    name = table.label
    return name is not None and any(is_image(str(row.get(name) or "")) for row in table.rows)


def _images(table: _Table, row: Row, number: int) -> tuple[Path, ...]:
    """The image files of a row: one per image column, or the list in a single one."""
    found: list[Path] = []
    for name in table.images:
        value = row.get(name)
        listed = value if isinstance(value, list) else [value]
        paths = [path for item in listed if (path := _path(table, item)) is not None]
        if not paths:
            raise DataError(f"{table.path}: row {number} has no '{name}'. Fix: give its path.")
        found += paths
    return tuple(found)


def _path(table: _Table, value: Any) -> Path | None:
    return table.path.parent / str(value) if value else None


def _exists(path: Path) -> bool:
    """Whether the file is there; of `train.h5::images[3]`, the part before the colons."""
    return Path(str(path).partition("::")[0]).exists()


def _case(
    table: _Table, row: Row, images: tuple[Path, ...], label: Path | None, group: str | None
) -> Case:
    name = str(_first(row, _ID) or stem(images[0]))
    patient = row.get(group) if group is not None else _first(row, _GROUP)
    return Case(
        id=re.sub(r"[^\w.+-]+", "_", name),
        images=tuple(str(path) for path in images),
        label=str(label) if label is not None and _exists(label) else None,
        group=str(patient or name),
        split=split_of(str(row.get("split") or ""), where=f"{table.path}: case '{name}'"),
        presence=_presence(table, row, name),
    )


def _first(row: Row, names: Sequence[str]) -> Any:
    """The value of the first column of one of these names, in any case, that is not empty."""
    lowered = {key.lower(): value for key, value in row.items()}
    return next((lowered[name] for name in names if lowered.get(name) not in (None, "")), None)


def _presence(table: _Table, row: Row, name: str) -> tuple[int, ...] | None:
    """The 0/1 of the columns presence_<class>, in the order of the classes; None without any."""
    given = {m["name"]: row[key] for key in row if (m := _PRESENCE.fullmatch(key))}
    if not given:
        return None
    order = table.labels.names if table.labels is not None else tuple(given)
    for column in order:
        if str(given.get(column, "")) not in ("0", "1"):
            raise DataError(
                f"{table.path}: case '{name}' has presence_{column} = {given.get(column)!r}. "
                "Fix: write 0 or 1."
            )
    return tuple(int(given[column]) for column in order)


def _channels(table: _Table, cases: Sequence[Case]) -> tuple[str, ...]:
    """One name per channel: the columns', or numbers where one column lists several files."""
    widths = sorted({len(case.images) for case in cases})
    if len(widths) > 1:
        few = next(case for case in cases if len(case.images) == widths[0])
        raise DataError(
            f"{table.path}: case '{few.id}' has {widths[0]} images where others have {widths[-1]}. "
            "Fix: give every row the same channels."
        )
    width = widths[0] if widths else len(table.images)
    return table.images if width == len(table.images) else tuple(f"image_{i}" for i in range(width))
