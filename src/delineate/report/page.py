"""The report of a run: one HTML page that needs no network and no other file."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from math import isnan
from pathlib import Path

from delineate.errors import DelineateError
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.metrics import Table, mean_interval
from delineate.report.facts import case_table, plan_table, run_facts, versions
from delineate.report.figures import (
    PALETTE,
    Series,
    class_colours,
    legend,
    line_chart,
    strip_chart,
)
from delineate.report.overlays import draw_case
from delineate.report.record import Record, read_record

__all__ = ["write_report"]

INK = "var(--ink)"
MOST_LINES = 12
"""Classes with a line or a row of their own in a chart; with more, only the mean and the lowest."""

SWITCHES = (
    '<div class="switches"><label><input type="checkbox" checked data-layer="truth">'
    '<svg class="key" viewBox="0 0 24 8"><path class="truth" d="M1 4H23"/></svg>truth</label>'
    '<label><input type="checkbox" checked data-layer="prediction">'
    '<svg class="key" viewBox="0 0 24 8"><path class="prediction" d="M1 4H23"/></svg>'
    "prediction</label></div>"
)


def write_report(run: Path) -> Path:
    """Write `report.html` into the run folder from what lies there; what is absent is said."""
    record = read_record(run)
    page = run / "report.html"
    with atomic_path(page) as part:
        part.write_text(_page(record), encoding="utf-8")
    return page


def _page(record: Record) -> str:
    colours = class_colours(_class_names(record), record.plan.labels if record.plan else None)
    sections = [
        _header(record),
        _absent(record),
        _curves(record, colours),
        _overlays(record, colours),
        _scores(record, colours),
        _plan(record),
        _config(record),
    ]
    name = escape(record.folder.resolve().name)
    style, script = (files("delineate.report").joinpath(f).read_text("utf-8") for f in _ASSETS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{name} - delineate</title>'
        f"<style>{style}</style></head><body><main>{''.join(sections)}</main>"
        f"<footer><p>{versions(record.environment)}</p><p>Made with delineate. Research software, "
        f"not a medical device.</p></footer><script>{script}</script></body></html>\n"
    )


_ASSETS = ("page.css", "page.js")


def _class_names(record: Record) -> Sequence[str]:
    if record.plan is not None:
        return record.plan.labels.names
    return record.table.labels if record.table is not None else ()


def _header(record: Record) -> str:
    name = escape(record.folder.resolve().name)
    return f'<header><p class="run">{name}</p>{_headline(record)}{run_facts(record)}</header>'


def _headline(record: Record) -> str:
    """The mean Dice with its interval; before the end, the latest figure of the training."""
    table = record.table
    if table is not None and table.rows and "dice" in table.metrics:
        low, high = table.interval("dice")
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
    charts = [c for c in (_loss_chart(record), _dice_chart(record, colours)) if c]
    if not charts:
        return ""
    return _section("Training", f'<div class="pair">{"".join(charts)}</div>')


def _loss_chart(record: Record) -> str:
    x, y = record.curves.points("loss")
    if not len(x):
        return ""
    terms = record.curves.names("loss/")
    series = [Series(name="loss", colour=INK, x=x, y=y, strong=True, smooth=True)]
    for name, colour in zip(terms if len(terms) > 1 else [], PALETTE, strict=False):
        x, y = record.curves.points(name)
        short = name.removeprefix("loss/")
        series.append(Series(name=short, colour=colour, x=x, y=y, smooth=True))
    chart = line_chart(series, title="Training loss by step", x_label="step")
    return _chart("Loss", legend({s.name: s.colour for s in series}), chart)


def _dice_chart(record: Record, colours: dict[str, str]) -> str:
    x, y = record.curves.points("val_dice")
    if not len(x):
        return ""
    series = [Series(name="mean", colour=INK, x=x, y=y, strong=True)]
    names = [n for n in record.curves.names("val_dice/") if n.removeprefix("val_dice/") in colours]
    for name in names if 1 < len(names) <= MOST_LINES else []:
        short = name.removeprefix("val_dice/")
        x, y = record.curves.points(name)
        series.append(Series(name=short, colour=colours[short], x=x, y=y))
    chart = line_chart(series, title="Validation Dice by step", x_label="step", top=1.0)
    return _chart("Validation Dice", legend({s.name: s.colour for s in series}), chart)


def _overlays(record: Record, colours: dict[str, str]) -> str:
    """The best, the median and the worst case."""
    table, plan = record.table, record.plan
    if table is None or plan is None or "dice" not in table.metrics:
        return ""
    means = {case: mean for case, mean in table.case_means("dice").items() if not isnan(mean)}
    order = sorted(means, key=lambda case: means[case])
    if not order:
        return ""
    chosen = {"best": order[-1], "median": order[len(order) // 2], "worst": order[0]}
    cards, seen = [], set()
    for rank, case in chosen.items():
        if case not in seen:
            cards.append(_card(record, plan.labels, rank, case, colours))
            seen.add(case)
    leaves = {leaf.name: colours[leaf.name] for leaf in plan.labels.leaves}
    keys = f'<div class="keys">{legend(leaves)}{SWITCHES}</div>'
    return _section("Best, median and worst case", keys + "".join(cards))


def _card(record: Record, labels: Labels, rank: str, case: str, colours: dict[str, str]) -> str:
    assert record.table is not None
    scan = record.scan(case)
    try:
        planes = draw_case(scan, labels, colours) if scan else _note("cases.json does not name it.")
    except (DelineateError, OSError) as error:
        planes = _note(str(error))
    figures = [
        f"{escape(row.label)} {row.values['dice']:.3f}"
        for row in record.table.rows
        if row.case == case and not isnan(row.values["dice"])
    ]
    classes = ", ".join(figures) if 1 < len(figures) <= MOST_LINES else ""
    mean = record.table.case_means("dice")[case]
    return (
        f'<article class="case"><h3><em>{rank}</em> {escape(case)} <b>{mean:.3f}</b>'
        f'<small>{classes}</small></h3><div class="planes">{planes}</div></article>'
    )


def _scores(record: Record, colours: dict[str, str]) -> str:
    table = record.table
    if table is None or not table.rows:
        return ""
    chart = ""
    if "dice" in table.metrics:
        chart = f'<div class="strip">{_strip(table, colours)}</div>'
    return _section("Scores of the held-out cases", chart + case_table(table, colours))


def _strip(table: Table, colours: dict[str, str]) -> str:
    values = table.values("dice")
    shown = list(table.labels)
    if len(shown) > MOST_LINES:
        means = {n: mean for n, mean in table.class_means("dice").items() if not isnan(mean)}
        shown = sorted(means, key=lambda name: means[name])[:MOST_LINES]
    columns = {name: values[:, table.labels.index(name)] for name in shown}
    groups = {
        name: dict(zip(table.cases, column.tolist(), strict=True))
        for name, column in columns.items()
    }
    intervals = {name: mean_interval(column) for name, column in columns.items()}
    known = {name: colours.get(name, PALETTE[0]) for name in shown}
    title = f"Dice of each case for {len(shown)} classes"
    note = "Each dot is a case; the bar is the mean with its 95 % interval."
    if len(shown) < len(table.labels):
        note += f" The {len(shown)} lowest of {len(table.labels)} classes are shown."
    return strip_chart(groups, known, intervals, title=title) + f'<p class="note">{note}</p>'


def _plan(record: Record) -> str:
    return "" if record.plan is None else _section("Plan", plan_table(record.plan))


def _config(record: Record) -> str:
    if record.config is None:
        return ""
    text = f"<pre>{escape(record.config)}</pre>"
    return _section("Configuration", f"<details><summary>config.yaml</summary>{text}</details>")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _chart(title: str, keys: str, chart: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{keys}{chart}</div>'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
