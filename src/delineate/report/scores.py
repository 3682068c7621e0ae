"""What the held-out cases score: all metrics at a glance, how cases are spread, every case."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isnan

import numpy as np

from delineate.metrics import Table
from delineate.metrics.bootstrap import mean_interval, mean_intervals
from delineate.metrics.direction import bounds, direction
from delineate.report.case_table import Cell, Column, Figures, case_table, chooser, figure_cell
from delineate.report.figures import PALETTE
from delineate.report.metric_names import figure_text, is_share, title
from delineate.report.strips import Strip, strip_chart

__all__ = ["MOST_CLASSES", "interval_of_mean", "scores_of_cases", "scores_of_metrics"]

MOST_CLASSES = 12
"""With more classes, only the mean and the worst have a column or row of their own."""
DOTS = 6000
"""On all charts together."""


def interval_of_mean(table: Table, metric: str) -> tuple[float, float]:
    """Where the mean lies if other cases had been drawn, within what the metric can be."""
    return mean_interval(list(table.case_means(metric).values()), bounds=bounds(metric))


def scores_of_metrics(table: Table, colours: Mapping[str, str]) -> str:
    """A row per metric: the mean with its interval, and the mean of each class."""
    shown = _few(table)
    heads = "".join(f'<th scope="col">{_mark(n, colours)}{escape(n)}</th>' for n in shown)
    rows = "".join(_metric_row(table, metric, shown) for metric in table.metrics)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Means of all metrics">'
        f'<table class="means"><thead><tr><th scope="col">metric</th>'
        f'<th scope="col">mean</th><th scope="col">95 % interval</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="note">&uarr; higher is better, &darr; lower is better.</p>'
    )


_WAYS = {
    "higher": '<span class="way" title="higher is better">&uarr;</span>',
    "lower": '<span class="way" title="lower is better">&darr;</span>',
    "neither": "",
}


def scores_of_cases(table: Table, colours: Mapping[str, str]) -> str:
    """One metric at a time: a chart of how the cases are spread, and a table of them all."""
    columns = _columns(table, colours)
    figures = {metric: _figures(table, metric) for metric in table.metrics}
    charts = "".join(
        f'<div class="strip" data-panel="{escape(m)}"{"" if i == 0 else " hidden"}>'
        f"{_strip(table, m, colours)}</div>"
        for i, m in enumerate(table.metrics)
    )
    return (
        f'<div class="tools">{chooser(table.metrics)}</div>{charts}'
        f"{case_table(table.cases, columns, figures, name='case-figures')}"
    )


def _few(table: Table) -> Sequence[str]:
    """The classes that have a column of their own."""
    return table.labels if 1 < len(table.labels) <= MOST_CLASSES else ()


def _metric_row(table: Table, metric: str, shown: Sequence[str]) -> str:
    low, high = interval_of_mean(table, metric)
    means = table.class_means(metric)
    interval = "&ndash;" if isnan(low) else f"{figure_text(low)} to {figure_text(high)}"
    way = _WAYS[direction(metric)]
    return (
        f'<tr><th scope="row">{escape(title(metric))}{way}</th>{figure_cell(table.mean(metric))}'
        f'<td class="figure soft">{interval}</td>'
        f"{''.join(figure_cell(means[name]) for name in shown)}</tr>"
    )


def _columns(table: Table, colours: Mapping[str, str]) -> list[Column]:
    mean = Column(name="mean")
    if len(table.labels) > MOST_CLASSES:
        return [mean, Column(name="worst class"), Column(name="its figure")]
    return [mean, *(Column(name=n, colour=colours.get(n)) for n in _few(table))]


def _figures(table: Table, metric: str) -> Figures:
    values, means = table.values(metric), table.case_means(metric)
    highest = direction(metric) == "lower"
    many = len(table.labels) > MOST_CLASSES
    rows: list[list[Cell]] = []
    for mean, row in zip(means.values(), values, strict=True):
        rest = _extreme(table.labels, row, highest=highest) if many else row.tolist()
        rows.append([mean, *(rest if many or _few(table) else [])])
    foot: list[Cell] = [table.mean(metric)]
    if many:
        foot += ["", ""]
    elif _few(table):
        foot += list(table.class_means(metric).values())
    return Figures(rows=rows, foot=foot)


def _extreme(labels: Sequence[str], values: np.ndarray, *, highest: bool) -> list[Cell]:
    if np.isnan(values).all():
        return ["", float("nan")]
    worst = int(np.nanargmax(values) if highest else np.nanargmin(values))
    return [labels[worst], float(values[worst])]


def _strip(table: Table, metric: str, colours: Mapping[str, str]) -> str:
    shown = _worst(table, metric)
    values = table.values(metric)[:, [table.labels.index(name) for name in shown]]
    intervals = mean_intervals(values, bounds=bounds(metric))
    strips = [
        Strip(
            name=name,
            colour=colours.get(name, PALETTE[0]),
            cases=dict(zip(table.cases, column.tolist(), strict=True)),
            interval=(float(low), float(high)),
        )
        for name, column, (low, high) in zip(shown, values.T, intervals, strict=True)
    ]
    most = max(20, min(150, DOTS // (len(strips) * len(table.metrics))))
    chart = strip_chart(
        strips,
        title=f"{title(metric)} of each case for {len(shown)} classes",
        x_label=f"{title(metric)} per case",
        share=is_share(metric),
        most=most,
    )
    note = "Each dot is a case; the band holds the middle half, the bar is the mean with its 95 % "
    note += "interval."
    if len(table.cases) > most:
        note += f" Of {len(table.cases)} cases, {most} are drawn at even distances by rank."
    if len(shown) < len(table.labels):
        note += f" The {len(shown)} worst of {len(table.labels)} classes are shown."
    return f'{chart}<p class="note">{note}</p>'


def _worst(table: Table, metric: str) -> list[str]:
    """All classes, or the worst by their means where there are many."""
    if len(table.labels) <= MOST_CLASSES:
        return list(table.labels)
    means = {n: mean for n, mean in table.class_means(metric).items() if not isnan(mean)}
    order = sorted(means, key=lambda name: means[name], reverse=direction(metric) == "lower")
    return order[:MOST_CLASSES] or list(table.labels[:1])


def _mark(name: str, colours: Mapping[str, str]) -> str:
    return f'<i style="background:{escape(colours[name])}"></i>' if name in colours else ""
