"""What a model is worth: each case on its own grid, hard masks, all cases that were asked for."""

import json
import logging
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

from delineate.datasets import read_dataset
from delineate.errors import DataError
from delineate.groundwork import Bars
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.metrics import (
    LesionRule,
    Measures,
    Table,
    evaluate_folders,
    size_groups,
    write_table,
)
from delineate.metrics.subgroups import subgroups
from delineate.package import open_model
from delineate.predicting import Wishes, predict
from delineate.run_folder import RunFolder
from delineate.systems.stroke.models_folder import find_model, read_note
from delineate.systems.stroke.translate import training_folder

__all__ = ["FIGURES", "describe", "evaluate", "measure", "measure_run", "summarise"]

log = logging.getLogger("delineate")

FIGURES = {
    "dice": "dice",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "lesion_f1": "lesion_f1",
}
"""The documented names, and the columns of a table."""
MEASURES = Measures(groups=("overlap", "volume", "lesions"), lesions=LesionRule(connectivity=6))
"""Lesions as the ATLAS 2.0 challenge counts them: pieces that share faces, found by one voxel."""
Truth = Mapping[str, str | Path]


def measure(masks: Path, truth: Truth, *, labels: Labels, bars: Bars) -> Table:
    """The figures of each case, from files."""
    return evaluate_folders(masks, truth, labels=labels, measures=MEASURES, progress=bars.track)


def measure_run(run: RunFolder, *, labels: Labels, bars: Bars) -> Table:
    """The held-out cases of a finished run, whose masks lie in its folder."""
    cases = run.read_json("cases.json")["validation"]
    truth = {case["id"]: case["label"] for case in cases if case["label"] is not None}
    return measure(run.validation, truth, labels=labels, bars=bars)


def summarise(table: Table) -> dict[str, Any]:
    """Means, each case, and Dice in thirds by the size of the lesion; plain, NaN as null."""
    per_case = {name: table.case_means(column) for name, column in FIGURES.items()}
    sizes = size_groups(table, table.labels[0])
    groups = subgroups(table.case_means("dice"), sizes, column="size").groups if sizes else ()
    return {
        "metrics": {name: _plain(table.mean(column)) for name, column in FIGURES.items()},
        "num_cases": len(table.cases),
        "cases": {
            case: {name: _plain(figures[case]) for name, figures in per_case.items()}
            for case in table.cases
        },
        "dice_by_lesion_size": {
            group.name: {"dice": _plain(group.mean), "cases": group.cases} for group in groups
        },
    }


def evaluate(asked: str | Path, data_dir: Path, results: Path, *, bars: Bars) -> Path:
    """Predict and score the cases that a model has not seen; the path of the JSON.

    Where nobody noted who that is, all cases with a mask are scored, and the log says so.
    """
    model = find_model(asked)
    labels = open_model(model).labels
    known, note = _labelled(data_dir), read_note(model)
    if note:
        chosen = {case: known[case] for case in note["validation"] if case in known}
        if missing := sorted(set(note["validation"]) - known.keys()):
            log.warning("%d held-out cases are not in %s: %s", len(missing), data_dir, missing[0])
    else:
        chosen = known
        log.warning("nobody noted who taught %s: all %d cases are scored", model, len(known))
    if not chosen:
        raise DataError(
            f"{data_dir}: none of the cases that {model} has not seen is here. "
            "Fix: data.data_dir of the configuration names the data set."
        )
    out = results / f"evaluation_{model.stem}"
    scans = [Path(image) for image, _ in chosen.values()]
    failures = predict(model, scans, out, wishes=Wishes(), bars=bars)
    if failures:
        raise DataError("\n".join(str(failure) for failure in failures))
    truth = {case: label for case, (_, label) in chosen.items()}
    table = measure(out, truth, labels=labels, bars=bars)
    write_table(table, out.with_suffix(".csv"))
    said = {"model_path": str(model), **summarise(table)}
    with atomic_path(out.with_suffix(".json")) as part:
        part.write_text(json.dumps(said, indent=2), encoding="utf-8")
    return out.with_suffix(".json")


def describe(summary: Mapping[str, Any]) -> list[str]:
    """A summary in lines for people."""
    figures = ", ".join(f"{n} {_shown(v)}" for n, v in summary["metrics"].items())
    lines = [f"{summary['num_cases']} cases: {figures}"]
    for name, group in summary["dice_by_lesion_size"].items():
        lines.append(f"  {name}: Dice {_shown(group['dice'])} on {group['cases']} cases")
    return lines


def _labelled(data_dir: Path) -> dict[str, tuple[str, str]]:
    """Image and mask of every case that has one."""
    cases = read_dataset(training_folder(data_dir)).cases
    return {case.id: (case.images[0], case.label) for case in cases if case.label is not None}


def _plain(value: float) -> float | None:
    return None if isnan(value) else round(value, 6)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
