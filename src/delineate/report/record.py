"""What a run folder says about its run; a run that is still going lacks some of it."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
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
    """The files of one held-out case."""

    id: str
    image: str
    """The first channel."""
    truth: str | None
    prediction: Path | None
    """None until the case has been predicted."""


@dataclass(frozen=True)
class Curves:
    """metrics.csv by column; a figure that was not taken at a step is NaN."""

    columns: Mapping[str, np.ndarray]

    def points(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values where the figure was taken; empty where it never was."""
        if name not in self.columns or "step" not in self.columns:
            return np.empty(0), np.empty(0)
        steps, values = self.columns["step"], self.columns[name]
        taken = np.isfinite(values) & np.isfinite(steps)
        return steps[taken], values[taken]

    def names(self, prefix: str) -> list[str]:
        """Columns below a prefix, such as `val_dice/`, that have any value."""
        return [n for n in self.columns if n.startswith(prefix) and len(self.points(n)[0])]

    def last(self, name: str) -> float | None:
        """The latest value; None where there is none."""
        values = self.points(name)[1]
        return float(values[-1]) if len(values) else None


@dataclass(frozen=True)
class Record:
    """Everything that a report shows; None where the run has not written it."""

    folder: Path
    config: str | None
    plan: Plan | None
    cases: dict[str, list[dict[str, Any]]]
    """'training' and 'validation'; empty where the run has not written it."""
    curves: Curves
    environment: dict[str, Any]
    table: Table | None

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
        return [name for name, part in parts.items() if not part]

    def scan(self, case: str) -> Scan | None:
        """The files of a held-out case; None where cases.json does not name it."""
        for entry in self.cases.get("validation", []):
            if entry["id"] == case and entry["images"]:
                image, truth = entry["images"][0], entry.get("label")
                return Scan(id=case, image=image, truth=truth, prediction=self._prediction(case))
        return None

    def _prediction(self, case: str) -> Path | None:
        folder = self.folder / "validation"
        files = folder.iterdir() if folder.is_dir() else ()
        return next((f for f in sorted(files) if is_image(f) and stem(f) == case), None)


def read_record(run: Path) -> Record:
    """Read what is there; a folder without anything of a run is a DataError."""
    if not run.is_dir():
        raise DataError(f"{run}: no such folder. Fix: give the run_dir of a training.")
    plan, table = run / "plan.json", run / "validation" / "table.csv"
    record = Record(
        folder=run,
        config=_text(run / "config.yaml"),
        plan=read_plan(plan) if plan.is_file() else None,
        cases=_json(run / "cases.json"),
        curves=_curves(run / "metrics.csv"),
        environment=_json(run / "environment.json"),
        table=read_table(table) if table.is_file() else None,
    )
    if len(record.absent) == 6:
        raise DataError(f"{run}: nothing of a training here. Fix: give the run_dir of a training.")
    return record


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
    rows = list(csv.reader((_text(path) or "").splitlines()))
    if len(rows) < 2:
        return Curves({})
    names, *lines = rows
    whole = [[_number(entry) for entry in line] for line in lines if len(line) == len(names)]
    table = np.array(whole, np.float64).reshape(-1, len(names))
    return Curves({name: table[:, i] for i, name in enumerate(names)})


def _number(entry: str) -> float:
    try:
        return float(entry)
    except ValueError:
        return nan
