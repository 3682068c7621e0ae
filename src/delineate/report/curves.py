"""Charts of how trainings went: one run with its parts, or several runs over each other."""

from collections.abc import Mapping

from delineate.report.figures import PALETTE, Series, legend, line_chart
from delineate.report.markup import card
from delineate.report.record import Record

__all__ = ["curves_of_run", "curves_of_runs"]

INK = "var(--ink)"
MOST_LINES = 12
"""With more classes, only their mean has a line."""


def curves_of_run(record: Record, colours: Mapping[str, str]) -> str:
    """Loss with its terms, and validation Dice with its classes; empty where neither is there."""
    charts = [c for c in (_loss_chart(record), _dice_chart(record, colours)) if c]
    return f'<div class="pair">{"".join(charts)}</div>' if charts else ""


def curves_of_runs(runs: Mapping[str, Record], colours: Mapping[str, str]) -> str:
    """Dice by step and by time, and loss, of all runs; empty where none has any."""
    charts = [
        _over("Validation Dice by time", runs, colours, "val_dice", "seconds"),
        _over("Validation Dice by step", runs, colours, "val_dice", "step"),
        _over("Loss by step", runs, colours, "loss", "step"),
    ]
    drawn = "".join(chart for chart in charts if chart)
    return f'{legend(colours)}<div class="trio">{drawn}</div>' if drawn else ""


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
    return card("Loss", legend({s.name: s.colour for s in series}) + chart)


def _dice_chart(record: Record, colours: Mapping[str, str]) -> str:
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
    return card("Validation Dice", legend({s.name: s.colour for s in series}) + chart)


def _over(
    title: str, runs: Mapping[str, Record], colours: Mapping[str, str], figure: str, by: str
) -> str:
    series = []
    for name, record in runs.items():
        x, y = record.curves.points(figure, by)
        x = x / 60 if by == "seconds" else x
        smooth = figure == "loss"
        if len(x):
            series.append(Series(name=name, colour=colours[name], x=x, y=y, smooth=smooth))
    if not series:
        return ""
    label = "minutes" if by == "seconds" else "step"
    top = 1.0 if figure == "val_dice" else None
    return card(title, line_chart(series, title=f"{title} of all runs", x_label=label, top=top))
