"""The tables of the report: facts of the run, scores per case, the plan with its reasons."""

from collections.abc import Mapping, Sequence
from html import escape
from math import isnan

import numpy as np

from delineate.metrics import Table
from delineate.plan import Normalisation, Plan
from delineate.report.record import Record

__all__ = ["case_table", "plan_table", "run_facts", "versions"]

MOST_CLASSES = 12
"""With more classes, the table of cases shows the worst class instead of a column for each."""


def run_facts(record: Record) -> str:
    """A line of short facts below the title."""
    facts: dict[str, str] = {}
    if record.cases:
        facts["trained on"] = _cases(len(record.cases.get("training", ())))
        facts["held out"] = _cases(len(record.cases.get("validation", ())))
    if record.plan is not None:
        facts["classes"] = str(len(record.plan.labels.names))
        facts["input"] = ", ".join(record.plan.channels)
    seconds, steps = record.curves.last("seconds"), record.curves.last("step")
    if seconds is not None:
        facts["training time"] = _duration(seconds)
    if steps is not None:
        facts["steps"] = f"{steps:,.0f}".replace(",", "\u2009")
    if "device" in record.environment:
        facts["device"] = str(record.environment["device"])
    items = (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
    return f'<dl class="facts">{"".join(items)}</dl>' if facts else ""


def case_table(table: Table, colours: Mapping[str, str]) -> str:
    """One table per metric, of which one is shown; a click on a heading sorts."""
    metrics = table.metrics
    buttons = "".join(
        f'<button type="button" data-metric="{escape(m)}" aria-pressed="{str(i == 0).lower()}">'
        f"{escape(_title(m))}</button>"
        for i, m in enumerate(metrics)
    )
    tables = "".join(_metric_table(table, m, colours, shown=i == 0) for i, m in enumerate(metrics))
    return (
        f'<div class="tools"><div class="choice">{buttons}</div>'
        '<input type="search" id="filter" placeholder="Filter cases" aria-label="Filter cases">'
        f'</div><div class="scroll">{tables}</div>'
    )


def plan_table(plan: Plan) -> str:
    """Each choice, its value and its reason."""
    shown = {
        "channels": ", ".join(plan.channels),
        "classes": ", ".join(plan.labels.names),
        "spacing": f"{_times(plan.spacing)} mm",
        "shape": f"{_times(plan.shape)} voxels",
        "crop_nonzero": "yes" if plan.crop_nonzero else "no",
        "normalisation": "; ".join(_normalisation(n) for n in plan.normalisation),
        "separate_axis": "none" if plan.separate_axis is None else str(plan.separate_axis),
        "patch": f"{_times(plan.patch)} voxels",
        "batch_size": str(plan.batch_size),
        "features": ", ".join(map(str, plan.network.features)),
        "strides": ", ".join(map(_times, plan.network.strides)),
        "kernels": ", ".join(map(_times, plan.network.kernels)),
        "convolutions": ", ".join(map(str, plan.network.convolutions)),
        "memory_gb": f"{plan.memory_gb:.2f} GB",
    }
    network = {"features", "strides", "kernels", "convolutions"}
    rows = []
    for name, value in shown.items():
        reason = plan.reasons.get(
            name, plan.reasons.get("network", "") if name == "features" else ""
        )
        title = f"network {name}" if name in network else _title(name.removesuffix("_gb"))
        cells = f"<td>{escape(value)}</td><td>{escape(reason)}</td>"
        rows.append(f'<tr><th scope="row">{escape(title)}</th>{cells}</tr>')
    return f'<table class="plan"><tbody>{"".join(rows)}</tbody></table>'


def versions(environment: Mapping[str, object]) -> str:
    """Machine and packages, in one paragraph."""
    parts = []
    for name, value in environment.items():
        if isinstance(value, Mapping):
            parts += [f"{package} {version}" for package, version in value.items()]
        else:
            parts.append(f"{name} {value}")
    return escape(" \u00b7 ".join(parts))


def _metric_table(table: Table, metric: str, colours: Mapping[str, str], *, shown: bool) -> str:
    labels, values, means = table.labels, table.values(metric), table.case_means(metric)
    if len(labels) > MOST_CLASSES:
        distance = metric.endswith("_mm")
        columns = [_extreme(labels, row, highest=distance) for row in values]
        heads = ["highest class" if distance else "lowest class", "its figure"]
        foot = "<td></td><td></td>"
    else:
        columns = [[_cell(v) for v in row] for row in values]
        heads = list(labels) if len(labels) > 1 else []
        columns = columns if heads else [[] for _ in columns]
        foot = "".join(_cell(v) for v in table.class_means(metric).values()) if heads else ""
    marks = (
        f'<i style="background:{escape(colours[n])}"></i>' if n in colours else "" for n in heads
    )
    titles = "".join(f"<th>{m}{escape(n)}</th>" for m, n in zip(marks, heads, strict=True))
    rows = "".join(
        f"<tr><td>{escape(case)}</td>{_cell(mean)}{''.join(cells)}</tr>"
        for (case, mean), cells in zip(means.items(), columns, strict=True)
    )
    hidden = "" if shown else " hidden"
    return (
        f'<table class="cases" data-metric="{escape(metric)}"{hidden}><thead><tr><th>case</th>'
        f"<th>mean</th>{titles}</tr></thead><tbody>{rows}</tbody><tfoot><tr>"
        f"<td>mean</td>{_cell(table.mean(metric))}{foot}</tr></tfoot></table>"
    )


def _extreme(labels: Sequence[str], values: np.ndarray, *, highest: bool) -> list[str]:
    if np.isnan(values).all():
        return [_cell(float("nan"))] * 2
    worst = int(np.nanargmax(values) if highest else np.nanargmin(values))
    return [f"<td>{escape(labels[worst])}</td>", _cell(float(values[worst]))]


def _cell(value: float) -> str:
    if isnan(value):
        return '<td class="figure none">&ndash;</td>'
    text = f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"
    return f'<td class="figure" data-v="{value:.9g}">{text}</td>'


def _normalisation(rule: Normalisation) -> str:
    if rule.kind == "ct":
        clip = f"clip to {rule.low:.4g} .. {rule.high:.4g}"
        return f"{clip}, mean {rule.mean:.4g}, deviation {rule.deviation:.4g}"
    names = {"zscore": "z-score", "scale": "0..255 to 0..1", "none": "none"}
    return names.get(rule.kind, rule.kind) + (" of non-zero voxels" if rule.nonzero else "")


def _title(name: str) -> str:
    words = {"iou": "IoU", "hd95_mm": "HD95 (mm)", "assd_mm": "ASSD (mm)", "dice": "Dice"}
    if name.endswith("_ml"):
        return name.removesuffix("_ml").replace("_", " ") + " (ml)"
    return words.get(name, name.replace("_", " "))


def _times(sizes: Sequence[float]) -> str:
    return " \u00d7 ".join(f"{size:.4g}" for size in sizes)


def _cases(number: int) -> str:
    return f"{number} case" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
