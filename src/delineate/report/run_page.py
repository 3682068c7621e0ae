"""The parts of the page of one run, from its headline to its configuration."""

from collections.abc import Sequence
from html import escape
from math import isnan
from pathlib import Path

import numpy as np

from delineate.errors import DelineateError
from delineate.plan import Plan
from delineate.report.curves import curves_of_run, curves_of_runs
from delineate.report.facts import plan_table, plan_window, provenance, run_facts
from delineate.report.figures import PALETTE, class_colours, legend
from delineate.report.markup import note, section, subsection
from delineate.report.overlays import draw_plane, web_picture
from delineate.report.record import Record
from delineate.report.scores import (
    MOST_CLASSES,
    interval_of_mean,
    scores_of_cases,
    scores_of_metrics,
)
from delineate.report.view import View, planes_of, read_view
from delineate.report.viewer import SWITCHES, viewer, viewer_title

__all__ = ["details", "run_page"]


def run_page(record: Record) -> list[str]:
    """The sections in the order of the page; what the run has not written yet is left out."""
    colours = class_colours(_class_names(record), record.plan.labels if record.plan else None)
    return [
        _header(record),
        _absent(record),
        section("Training", _curves(record, colours), name="training"),
        *_pictures(record, colours),
        section("Scores of the held-out cases", _scores(record, colours), name="scores"),
        details(record),
    ]


def details(record: Record) -> str:
    """The plan with its reasons, the machine and the data, the configuration."""
    plan = plan_table(record.plan) if record.plan else ""
    config = ""
    if record.config is not None:
        text = f"<pre>{escape(record.config)}</pre>"
        config = f"<details><summary>config.yaml</summary>{text}</details>"
    made = provenance(record) if record.environment or record.hashes else ""
    return (
        section("Plan", plan)
        + section("Machine, versions and data", made)
        + section("Configuration", config)
    )


def _class_names(record: Record) -> Sequence[str]:
    if record.plan is not None:
        return record.plan.labels.names
    return record.table.labels if record.table is not None else ()


def _header(record: Record) -> str:
    name = escape(record.name)
    return f'<header><p class="run">{name}</p>{_headline(record)}{run_facts(record)}</header>'


def _headline(record: Record) -> str:
    """The mean Dice with its interval; before the end, the latest figure of the training."""
    table = record.table
    if table is not None and table.rows and "dice" in table.metrics:
        low, high = interval_of_mean(table, "dice")
        number = len(table.cases)
        of = f"mean Dice on {number} held-out case{'' if number == 1 else 's'}"
        interval = "" if isnan(low) else f", 95 % interval {low:.3f} to {high:.3f}"
        return f"<h1><b>{table.mean('dice'):.3f}</b> <span>{of}{interval}</span></h1>"
    latest = record.curves.last("val_dice")
    if latest is not None:
        what = "Dice at the latest validation during training"
        return f"<h1><b>{latest:.3f}</b> <span>{what}</span></h1>"
    return "<h1><span>A training without scores so far</span></h1>"


def _absent(record: Record) -> str:
    if not record.absent:
        return ""
    items = "".join(f"<li>{escape(part)}</li>" for part in record.absent)
    return f"<aside><p>This run is not complete. Not there yet:</p><ul>{items}</ul></aside>"


def _curves(record: Record, colours: dict[str, str]) -> str:
    if not record.folds:
        return curves_of_run(record, colours)
    folds = {fold.name: fold for fold in record.folds}
    return curves_of_runs(folds, dict(zip(folds, PALETTE * len(folds), strict=False)))


def _scores(record: Record, colours: dict[str, str]) -> str:
    table = record.table
    if table is None or not table.rows:
        return ""
    means = subsection("All metrics", scores_of_metrics(table, colours))
    return means + subsection("Case by case", scores_of_cases(table, colours))


def _pictures(record: Record, colours: dict[str, str]) -> list[str]:
    """Three cases in three planes and slice by slice; before the end, the newest panel."""
    chosen = _choose(record)
    if record.plan is None or not chosen:
        return [section("At the latest validation", _panel(record.newest_panel), name="panel")]
    labels = record.plan.labels
    cards, shown = [], []
    for rank, case in chosen.items():
        view = _view(record, case, record.plan)
        cards.append(_card(record, rank, case, view, colours))
        shown += [(rank, view)] if isinstance(view, View) else []
    leaves = {leaf.name: colours[leaf.name] for leaf in labels.leaves}
    keys = _folded_legend(leaves) + f'<div class="switches">{SWITCHES}</div>'
    title = "Best, median and worst case" if "best" in chosen else "Held-out cases"
    names = [record.name] if any(view.predictions for _, view in shown) else []
    return [
        section(title, f'<div class="keys">{keys}</div>{"".join(cards)}', name="cases"),
        section(viewer_title(shown), viewer(shown, names, labels, colours), name="slices"),
    ]


def _choose(record: Record) -> dict[str, str]:
    """By Dice where there are scores; else the first, middle and last case with a prediction."""
    table = record.table
    if table is not None and "dice" in table.metrics:
        means = {case: mean for case, mean in table.case_means("dice").items() if not isnan(mean)}
        order = sorted(means, key=lambda case: means[case])
        names = ("best", "median", "worst")
        places = (len(order) - 1, len(order) // 2, 0)
    else:
        scans = {case: record.scan(case) for case in record.held_out}
        order = [case for case, scan in scans.items() if scan and scan.predictions]
        names = ("first", "middle", "last")
        places = (0, len(order) // 2, len(order) - 1)
    chosen: dict[str, str] = {}
    for name, place in zip(names, places, strict=True):
        if order and order[place] not in chosen.values():
            chosen[name] = order[place]
    return chosen


def _view(record: Record, case: str, plan: Plan) -> View | str:
    """The case, or why it cannot be shown."""
    scan = record.scan(case)
    if scan is None:
        return "cases.json does not name it."
    try:
        return read_view(scan, plan.labels, window=plan_window(plan))
    except (DelineateError, OSError) as error:
        return str(error)


def _card(record: Record, rank: str, case: str, view: View | str, colours: dict[str, str]) -> str:
    """One case in its planes, with its figures."""
    if isinstance(view, str):
        planes = note(view)
    else:
        drawn = record.name if view.predictions else None
        planes = "".join(
            draw_plane(view, plane, colours, prediction=drawn) for plane in planes_of(view)
        )
    return (
        f'<article class="case"><h3><em>{rank}</em> {escape(case)}{_figures(record, case)}</h3>'
        f'<div class="planes">{planes}</div></article>'
    )


def _figures(record: Record, case: str) -> str:
    """The Dice of a case and of its classes."""
    if record.table is None or "dice" not in record.table.metrics:
        return ""
    rows = [r for r in record.table.rows if r.case == case and not isnan(r.values["dice"])]
    figures = [f"{escape(row.label)} {row.values['dice']:.3f}" for row in rows]
    classes = ", ".join(figures) if 1 < len(figures) <= MOST_CLASSES else ""
    mean = float(np.mean([row.values["dice"] for row in rows]))
    return f" <b>{mean:.3f}</b><small>{classes}</small>"


def _folded_legend(colours: dict[str, str]) -> str:
    """A hundred names are opened when they are wanted."""
    if len(colours) <= 2 * MOST_CLASSES:
        return legend(colours)
    return f"<details><summary>{len(colours)} classes</summary>{legend(colours)}</details>"


def _panel(path: Path | None) -> str:
    """What a running training drew last: scan, truth and prediction side by side."""
    if path is None:
        return ""
    from PIL import Image

    with Image.open(path) as picture:
        shown = web_picture(np.asarray(picture.convert("RGB")), quality=80)
    text = "Held-out cases: the scan, the truth and the prediction side by side"
    return f'<img class="panel" src="{shown}" alt="{text}">{note(f"{text} ({path.name}).")}'
