"""What a run folder says about its run; a run that is still going lacks some of it."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io import is_image, stem
from delineate.metrics import Table, read_table
from delineate.plan import Plan, read_plan

__all__ = ["Curves", "Record", "Scan", "read_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The files of one case that are looked at together."""

    id: str
    image: str
    """The first channel."""
    truth: str | None = None
    predictions: Mapping[str, Path] = field(default_factory=dict)
    """By the name of the run that made them; empty until the case has been predicted."""


@dataclass(frozen=True)
class Curves:
    """metrics.csv by column; a figure that was not taken at a step is NaN."""

    columns: Mapping[str, np.ndarray]

    def points(self, name: str, by: str = "step") -> tuple[np.ndarray, np.ndarray]:
        """Steps (or seconds) and values where the figure was taken; empty where it never was."""
        if name not in self.columns or by not in self.columns:
            return np.empty(0), np.empty(0)
        places, values = self.columns[by], self.columns[name]
        taken = np.isfinite(values) & np.isfinite(places)
        return places[taken], values[taken]

    def names(self, prefix: str) -> list[str]:
        """Columns below a prefix, such as `val_dice/`, that have any value."""
        return [n for n in self.columns if n.startswith(prefix) and len(self.points(n)[0])]

    def last(self, name: str) -> float | None:
        """The latest value; None where there is none."""
        values = self.points(name)[1]
        return float(values[-1]) if len(values) else None


@dataclass(frozen=True)
class Record:
    """Everything that a report shows; None or empty where the run has not written it."""

    folder: Path
    config: str | None
    plan: Plan | None
    cases: dict[str, list[dict[str, Any]]]
    """'training' and 'validation'; empty where the run has not written it."""
    curves: Curves
    environment: dict[str, Any]
    hashes: dict[str, Any]
    table: Table | None
    folds: tuple["Record", ...] = ()
    """The runs of a cross-validation, whose pooled scores `table` holds."""

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @cached_property
    def absent(self) -> list[str]:
        """What is missing, in words."""
        parts = {
            "the configuration (config.yaml)": self.config,
            "the plan (plan.json)": self.plan,
            "the list of cases (cases.json)": self.cases,
            "the training figures (metrics.csv)": self.curves.columns,
            "the machine and versions (environment.json)": self.environment,
            "the scores of the held-out cases (validation/table.csv)": self.table,
        }
        if self.folds:
            parts = {"the pooled scores of all folds (table.csv)": self.table}
        return [name for name, part in parts.items() if not part]

    @property
    def held_out(self) -> list[str]:
        """The cases that no weight was learnt from."""
        return [entry["id"] for entry in self.cases.get("validation", [])]

    @property
    def newest_panel(self) -> Path | None:
        """The picture of the latest validation."""
        return max((self.folder / "panels").glob("step_*.png"), default=None)

    def scan(self, case: str) -> Scan | None:
        """The files of a held-out case; None where cases.json does not name it."""
        for entry in self.cases.get("validation", []):
            if entry["id"] == case and entry["images"]:
                found = self._predictions.get(case)
                return Scan(
                    id=case,
                    image=entry["images"][0],
                    truth=entry.get("label"),
                    predictions={self.name: found} if found else {},
                )
        return None

    @cached_property
    def _predictions(self) -> dict[str, Path]:
        """The mask of each held-out case that has been predicted."""
        folders = [run.folder / "validation" for run in self.folds or (self,)]
        files = [f for folder in folders if folder.is_dir() for f in sorted(folder.iterdir())]
        return {stem(file): file for file in reversed(files) if is_image(file)}


def read_record(run: Path) -> Record:
    """Read what is there, of a training or of a cross-validation; nothing at all is a DataError."""
    if not run.is_dir():
        raise DataError(f"{run}: no such folder. Fix: give the run_dir of a training.")
    folds = [] if (run / "config.yaml").is_file() else _fold_folders(run)
    record = _pooled(run, [_read(fold) for fold in folds]) if folds else _read(run)
    if not record.folds and len(record.absent) == 6:
        raise DataError(f"{run}: nothing of a training here. Fix: give the run_dir of a training.")
    return record


def _read(run: Path) -> Record:
    plan = run / "plan.json"
    return Record(
        folder=run,
        config=_text(run / "config.yaml"),
        plan=read_plan(plan) if plan.is_file() else None,
        cases=_json(run / "cases.json"),
        curves=_curves(run / "metrics.csv"),
        environment=_json(run / "environment.json"),
        hashes=_json(run / "hashes.json"),
        table=_table(run / "validation" / "table.csv", run / "table.csv"),
    )


def _fold_folders(run: Path) -> list[Path]:
    """`fold_<i>` in order of their number."""
    found = [f for f in run.glob("fold_*") if f.is_dir() and f.name[5:].isdigit()]
    return sorted(found, key=lambda folder: int(folder.name[5:]))


def _pooled(run: Path, folds: Sequence[Record]) -> Record:
    """Every case of a cross-validation is held out once; config, plan and machine are alike."""
    first = folds[0]
    return Record(
        folder=run,
        config=first.config,
        plan=next((fold.plan for fold in folds if fold.plan), None),
        cases={"validation": [entry for f in folds for entry in f.cases.get("validation", [])]},
        curves=Curves({}),
        environment=first.environment,
        hashes={case: entry for fold in folds for case, entry in fold.hashes.items()},
        table=_table(run / "table.csv"),
        folds=tuple(folds),
    )


def _table(*places: Path) -> Table | None:
    return next((read_table(place) for place in places if place.is_file()), None)


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _json(path: Path) -> dict[str, Any]:
    text = _text(path)
    if text is None:
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}.") from None


def _curves(path: Path) -> Curves:
    """All whole rows; the last one may be half written."""
    rows = list(_rows(path))
    if len(rows) < 2:
        return Curves({})
    names, *lines = rows
    whole = [[_number(entry) for entry in line] for line in lines if len(line) == len(names)]
    table = np.array(whole, np.float64).reshape(-1, len(names))
    return Curves({name: table[:, i] for i, name in enumerate(names)})


def _rows(path: Path) -> Iterator[list[str]]:
    return csv.reader((_text(path) or "").splitlines())


def _number(entry: str) -> float:
    try:
        return float(entry)
    except ValueError:
        return nan
