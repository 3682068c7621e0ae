"""A table of cases that sorts and filters: one metric at a time, exchanged by page.js."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any

from delineate.report.metric_names import figure_text, title

__all__ = ["Cell", "Column", "Figures", "case_table", "chooser", "embed", "figure_cell"]

MOST_CASES = 2000
"""Rows of the table; how many more there are is said."""

Cell = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column beside the names of the cases."""

    name: str
    colour: str | None = None
    signed: bool = False
    """Whether a figure above 0 has a plus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the columns hold for one metric; NaN where there is no figure."""

    rows: Sequence[Sequence[Cell]]
    """One per case."""
    foot: Sequence[Cell]


def chooser(metrics: Sequence[str]) -> str:
    """A button per metric, of which the first is pressed; nothing to choose among one."""
    if len(metrics) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" data-metric="{escape(m)}" aria-pressed="{str(i == 0).lower()}">'
        f"{escape(title(m))}</button>"
        for i, m in enumerate(metrics)
    )
    return f'<div class="choice" role="group" aria-label="Metric">{buttons}</div>'


def case_table(
    cases: Sequence[str], columns: Sequence[Column], figures: Mapping[str, Figures], *, name: str
) -> str:
    """The table with the figures of the first metric; those of all lie beside it.

    Args:
        name: Of this table within the page.
    """
    shown = cases[:MOST_CASES]
    first = next(iter(figures.values()))
    heads = "".join(_head(column) for column in columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(case)}</th>{_cells(cells, columns)}</tr>'
        for case, cells in zip(shown, first.rows, strict=False)
    )
    data = {
        metric: {"rows": [_plain(r) for r in f.rows[:MOST_CASES]], "foot": _plain(f.foot)}
        for metric, f in figures.items()
    }
    left = len(cases) - len(shown)
    note = f'<p class="note">{left} more cases are in table.csv only.</p>' if left else ""
    return (
        '<div class="tools filter"><label for="filter">Filter</label>'
        '<input type="search" id="filter" placeholder="case, or < 0.8">'
        '<output id="found" for="filter"></output></div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Figures of each case">'
        f'<table class="cases" data-figures="{name}"><thead><tr>'
        f"{_head(Column(name='case'))}{heads}</tr></thead><tbody>{rows}</tbody><tfoot><tr>"
        f'<th scope="row">mean</th>{_cells(first.foot, columns)}</tr></tfoot></table></div>'
        f"{note}{embed(name, data)}"
    )


def figure_cell(value: float, *, signed: bool = False) -> str:
    """A figure, or a dash where there is none."""
    if not isfinite(value):
        return '<td class="figure none">&ndash;</td>'
    plus = "+" if signed and value > 0 else ""
    return f'<td class="figure" data-v="{value:.9g}">{plus}{figure_text(value)}</td>'


def embed(name: str, data: Any) -> str:
    """Plain data that a script of the page reads; no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _head(column: Column) -> str:
    mark = f'<i style="background:{escape(column.colour)}"></i>' if column.colour else ""
    signed = " data-signed" if column.signed else ""
    text = f'<button type="button">{mark}{escape(column.name)}</button>'
    return f'<th scope="col"{signed}>{text}</th>'


def _cells(cells: Sequence[Cell], columns: Sequence[Column]) -> str:
    return "".join(
        f"<td>{escape(cell)}</td>" if isinstance(cell, str) else figure_cell(cell, signed=c.signed)
        for cell, c in zip(cells, columns, strict=True)
    )


def _plain(cells: Sequence[Cell]) -> list[Cell | None]:
    return [
        cell if isinstance(cell, str) else float(f"{cell:.6g}") if isfinite(cell) else None
        for cell in cells
    ]
