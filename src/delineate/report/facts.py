"""What a run was: a line of facts, the plan with its reasons, machine, versions and data."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from delineate.plan import Normalisation, Plan
from delineate.report.hashes import combined_hash
from delineate.report.record import Record

__all__ = ["duration", "plan_facts", "plan_table", "plan_window", "provenance", "run_facts"]

MOST_HASHES = 1000
"""Cases whose hashes are listed."""


def run_facts(record: Record) -> str:
    """A line of short facts below the title."""
    facts: dict[str, str] = {}
    if record.folds:
        facts["folds"] = str(len(record.folds))
    if "training" in record.cases:
        facts["trained on"] = _cases(len(record.cases["training"]))
    if record.cases:
        facts["held out"] = _cases(len(record.held_out))
    if record.plan is not None:
        facts["classes"] = str(len(record.plan.labels.names))
        facts["input"] = ", ".join(record.plan.channels)
    seconds, steps = record.curves.last("seconds"), record.curves.last("step")
    if seconds is not None:
        facts["training time"] = duration(seconds)
    if steps is not None:
        facts["steps"] = f"{steps:,.0f}".replace(",", "\u2009")
    if "device" in record.environment:
        facts["device"] = str(record.environment["device"])
    items = (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
    return f'<dl class="facts">{"".join(items)}</dl>' if facts else ""


def plan_facts(plan: Plan) -> dict[str, str]:
    """Each choice as it is read, by field name."""
    return {
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


def plan_table(plan: Plan) -> str:
    """Each choice, its value and its reason."""
    network = {"features", "strides", "kernels", "convolutions"}
    rows = []
    for name, value in plan_facts(plan).items():
        reason = plan.reasons.get("network" if name == "features" else name, "")
        title = f"network {name}" if name in network else name.removesuffix("_gb").replace("_", " ")
        rows.append(_row(title, _folded(value), escape(reason)))
    return f'<table class="plan"><tbody>{"".join(rows)}</tbody></table>'


def plan_window(plan: Plan) -> tuple[float, float] | None:
    """Where the structures of a CT data set differ, by its own figures; None for other scans."""
    rule = plan.normalisation[0]
    return (rule.low, rule.high) if rule.kind == "ct" and rule.low < rule.high else None


def provenance(record: Record) -> str:
    """The machine, the versions, and which bytes the data were."""
    rows = []
    for name, value in record.environment.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{package} {version}" for package, version in value.items())
        else:
            text = str(value)
        rows.append(_row(name.replace("_", " "), escape(text), ""))
    if record.hashes:
        total = combined_hash(record.hashes)
        why = f"SHA-256 over the files of {_cases(len(record.hashes))}"
        rows.append(_row("data", f"<code>{total}</code>", why))
    else:
        rows.append(_row("data", "no hashes recorded (hashes.json)", ""))
    table = f'<table class="plan"><tbody>{"".join(rows)}</tbody></table>'
    return table + (_hash_list(record.hashes) if record.hashes else "")


def duration(seconds: float) -> str:
    """In seconds, minutes or hours, as a person would say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _hash_list(hashes: Mapping[str, Any]) -> str:
    """The first digits for each file of each case, folded away."""
    shown = sorted(hashes)[:MOST_HASHES]
    rows = "".join(
        f"<tr><td>{escape(case)}</td><td>{' '.join(h[:16] for h in hashes[case]['images'])}</td>"
        f"<td>{(hashes[case]['label'] or '-')[:16]}</td></tr>"
        for case in shown
    )
    left = len(hashes) - len(shown)
    more = f'<p class="note">{left} more are in hashes.json.</p>' if left else ""
    return (
        '<details class="long"><summary>Hashes of each case</summary>'
        '<div class="scroll"><table class="hashes"><thead><tr><th>case</th><th>images</th>'
        f"<th>mask</th></tr></thead><tbody>{rows}</tbody></table></div>{more}</details>"
    )


def _row(title: str, value: str, reason: str) -> str:
    return f'<tr><th scope="row">{escape(title)}</th><td>{value}</td><td>{reason}</td></tr>'


def _folded(value: str) -> str:
    """A list of a hundred classes is opened when it is wanted."""
    if len(value) <= 300:
        return escape(value)
    return f"<details><summary>{value.count(',') + 1} entries</summary>{escape(value)}</details>"


def _normalisation(rule: Normalisation) -> str:
    if rule.kind == "ct":
        clip = f"clip to {rule.low:.4g} .. {rule.high:.4g}"
        return f"{clip}, mean {rule.mean:.4g}, deviation {rule.deviation:.4g}"
    names = {"zscore": "z-score", "scale": "0..255 to 0..1", "none": "none"}
    return names.get(rule.kind, rule.kind) + (" of non-zero voxels" if rule.nonzero else "")


def _times(sizes: Sequence[float]) -> str:
    return "\u00a0\u00d7\u00a0".join(f"{size:.4g}" for size in sizes)


def _cases(number: int) -> str:
    return f"{number} case" + ("" if number == 1 else "s")
