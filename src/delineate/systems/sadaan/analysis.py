"""The evaluations of training, validation and test side by side: what generalises, what does not.

It reads any detailed_metrics.json with the documented keys; a figure that is null or left out has
no value.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from math import isnan, nan
from pathlib import Path
from typing import Any

from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.systems.sadaan.evaluation_report import aligned, figure
from delineate.systems.sadaan.pictures import draw_bars

__all__ = ["analyse", "read_metrics"]

FILE = "detailed_metrics.json"
SECTIONS = (
    "presence_overall_accuracy",
    "presence_per_structure",
    "segmentation_per_structure",
    "segmentation_overall",
    "scenario_based",
)
OVERALL = {"presence accuracy": "presence_accuracy", "Dice": "mean_dice", "IoU": "mean_iou"}
PER_STRUCTURE = {
    "Dice": ("segmentation_per_structure", "mean_dice"),
    "IoU": ("segmentation_per_structure", "mean_iou"),
    "presence accuracy": ("presence_per_structure", "accuracy"),
    "presence F1": ("presence_per_structure", "f1_score"),
    "presence AUC ROC": ("presence_per_structure", "auc_roc"),
}
PICTURES = {"Dice": "dice_per_structure.png", "presence accuracy": "presence_per_structure.png"}

Metrics = Mapping[str, Any]
Figures = dict[str, dict[str, float]]
"""By row, then by split; NaN where there is no value."""


def analyse(files: Mapping[str, str | Path], out: Path) -> str:
    """Write analysis_report.txt, analysis.csv and two pictures; the text of the report.

    Args:
        files: By split, such as 'train': detailed_metrics.json, or the folder that holds it.
        out: The folder; made if need be.
    """
    metrics = {split: read_metrics(Path(path)) for split, path in files.items()}
    if not metrics:
        raise DataError("analysis: nothing to read. Fix: give --train, --val or --test.")
    tables = {name: _per_structure(metrics, *place) for name, place in PER_STRUCTURE.items()}
    text = _report(metrics, tables)
    with atomic_path(out / "analysis_report.txt") as part:
        part.write_text(text, encoding="utf-8")
    _write_csv(metrics, tables, out / "analysis.csv")
    for name, picture in PICTURES.items():
        if tables[name]:
            title = f"{name} of each structure"
            draw_bars(tables[name], out / picture, title=title, series=list(metrics))
    return text


def read_metrics(path: Path) -> Metrics:
    """The content of a detailed_metrics.json; a DataError for anything else."""
    place = path / FILE if path.is_dir() else path
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{place}: no such file. Fix: python test.py writes it.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error}).") from None
    missing = [key for key in SECTIONS if not isinstance(found, dict) or key not in found]
    if missing:
        raise DataError(f"{place}: has no '{missing[0]}'. Fix: give a {FILE} that test.py wrote.")
    return found


def _report(metrics: Mapping[str, Metrics], tables: Mapping[str, Figures]) -> str:
    splits = list(metrics)
    sections = [("OVERALL", _table("", _overall(metrics), splits))]
    sections += [
        (f"{name.upper()} OF EACH STRUCTURE", _table("structure", table, splits))
        for name, table in tables.items()
    ]
    scenarios = _gather(metrics, lambda m: m["scenario_based"], "accuracy")
    sections.append(("PRESENCE ACCURACY IN EACH SCENARIO", _table("scenario", scenarios, splits)))
    sections.append(("WHAT STANDS OUT", _remarks(metrics, tables, splits)))
    return "\n\n".join(f"{t}\n{'-' * len(t)}\n" + "\n".join(lines) for t, lines in sections) + "\n"


def _table(first: str, figures: Figures, splits: list[str]) -> list[str]:
    """A row each, a column per split, and how far the last split falls behind the first."""
    gap = [f"{splits[0]} - {splits[-1]}"] if len(splits) > 1 else []
    rows = [
        [name or "(not named)", *(figure(values[s]) for s in splits), *_gap(values, splits)]
        for name, values in figures.items()
    ]
    return aligned([first, *splits, *gap], rows)


def _gap(values: Mapping[str, float], splits: list[str]) -> list[str]:
    if len(splits) < 2:
        return []
    gap = values[splits[0]] - values[splits[-1]]
    return ["-" if isnan(gap) else f"{gap:+.3f}"]


def _remarks(
    metrics: Mapping[str, Metrics], tables: Mapping[str, Figures], splits: list[str]
) -> list[str]:
    """The hardest structures and scenarios of the last split, and the largest fall to it."""
    last = splits[-1]
    scenarios = _gather(metrics, lambda m: m["scenario_based"], "accuracy")
    found = [
        _lowest(tables["Dice"], last, f"lowest Dice in {last}"),
        _lowest(tables["presence accuracy"], last, f"lowest presence accuracy in {last}"),
        _lowest(scenarios, last, f"hardest scenarios in {last}"),
    ]
    if len(splits) > 1:
        falls = {
            name: {last: values[last] - values[splits[0]]}
            for name, values in tables["Dice"].items()
        }
        found.append(_lowest(falls, last, f"largest fall of Dice from {splits[0]} to {last}"))
    return [line for line in found if line]


def _lowest(figures: Figures, split: str, what: str) -> str:
    known = [(values[split], name) for name, values in figures.items() if not isnan(values[split])]
    named = ", ".join(f"{name or '(not named)'} {value:.3f}" for value, name in sorted(known)[:3])
    return f"{what}: {named}" if named else ""


def _overall(metrics: Mapping[str, Metrics]) -> Figures:
    flat = {
        split: {"presence_accuracy": m["presence_overall_accuracy"], **m["segmentation_overall"]}
        for split, m in metrics.items()
    }
    return {
        name: {split: _number(values.get(key)) for split, values in flat.items()}
        for name, key in OVERALL.items()
    }


def _per_structure(metrics: Mapping[str, Metrics], section: str, key: str) -> Figures:
    return _gather(metrics, lambda m: m[section], key)


def _gather(
    metrics: Mapping[str, Metrics], section: Callable[[Metrics], Metrics], key: str
) -> Figures:
    """One figure of every entry of a section; a split that lacks the entry has no value."""
    names: Iterable[str] = dict.fromkeys(name for m in metrics.values() for name in section(m))
    return {
        name: {split: _number(section(m).get(name, {}).get(key)) for split, m in metrics.items()}
        for name in names
    }


def _write_csv(metrics: Mapping[str, Metrics], tables: Mapping[str, Figures], out: Path) -> None:
    """One line for each figure: what it is of, which it is, and its value in each split."""
    groups = {"overall": {name: {"": row} for name, row in _overall(metrics).items()}}
    groups["structure"] = dict(tables)
    scenarios = _gather(metrics, lambda m: m["scenario_based"], "accuracy")
    groups["scenario"] = {"presence accuracy": scenarios}
    with atomic_path(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("of", "name", "metric", *metrics))
        for kind, figures in groups.items():
            for metric, rows in figures.items():
                for name, values in rows.items():
                    shown = ("" if isnan(v) else f"{v:.6g}" for v in values.values())
                    writer.writerow((kind, name, metric, *shown))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else nan
