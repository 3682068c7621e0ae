"""What a person sees: progress bars, tables that fit the terminal, plans and findings in words.

On a terminal, a long cell is cut; into a pipe or a file every line goes whole.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from math import isnan
from textwrap import fill
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from delineate.datasets import Examination, Finding
    from delineate.engine.profile import Profile
    from delineate.metrics import Table as Scores
    from delineate.plan import Network, Normalisation, Plan

__all__ = [
    "say",
    "show_examination",
    "show_plan",
    "show_profile",
    "show_scores",
    "showing_progress",
]

console = Console(highlight=False, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False)

FEW_CASES = 20
"""Up to so many cases each have a line; of more, only those with a finding."""
FEW_ALIKE = 5
"""Findings of one kind that are written out; the others are counted."""
NARROWEST = 10
"""No column is cut below so many characters."""
GAP = "  "

T = TypeVar("T")


class Bars:
    """Progress bars of one command: one for each thing that takes long."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._training: TaskID | None = None

    def track(self, items: Iterable[T], total: int, description: str) -> Iterator[T]:
        """Hand the items on, and count them."""
        yield from self._bars.track(items, total=total, description=description)

    def training(self, progress: float, text: str) -> None:
        """Show how far a training has come."""
        if self._training is None:
            self._training = self._bars.add_task("training", total=1.0)
        self._bars.update(self._training, completed=progress, description=f"training, {text}")


@contextmanager
def showing_progress() -> Iterator[Bars]:
    """Progress bars while the block runs, gone when it ends; what a run notes stays above them.

    Where stderr is no terminal there are no bars, only the notes.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    shown = errors.is_terminal
    notes, log = _Notes(), logging.getLogger("delineate")
    log.setLevel(logging.INFO)
    log.addHandler(notes)
    try:
        with Progress(*columns, console=errors, transient=True, disable=not shown) as bars:
            yield Bars(bars)
    finally:
        log.removeHandler(notes)


class _Notes(logging.Handler):
    """Lines of a run's log on stderr; an error is reported where it ends the command."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            errors.print(record.getMessage(), markup=False, soft_wrap=True, style="dim")


def say(text: str, style: str | None = None) -> None:
    """One line, however long."""
    console.print(text, style=style, soft_wrap=True)


def show_examination(found: "Examination") -> None:
    """One line per case, or per case with findings where there are many; then every finding."""
    kinds = {facts.case: "" for facts in found.cases}
    for item in found.findings:
        if item.case in kinds and item.kind not in kinds[item.case]:
            kinds[item.case] = f"{kinds[item.case]} {item.kind}".strip()
    many = len(found.cases) > FEW_CASES
    rows = [
        (
            facts.case,
            _times(facts.shape),
            "x".join(f"{mm:.3g}" for mm in facts.spacing),
            facts.orientation,
            facts.dtype,
            None if facts.labels is None else len(facts.labels),
            facts.volume_ml,
            kinds[facts.case],
        )
        for facts in found.cases
        if kinds[facts.case] or not many
    ]
    if rows:
        heads = ("case", "shape", "mm", "axes", "type", "labels", "ml", "findings")
        _show_table(heads, rows)
        say("")
    _show_findings(found.findings)
    if many:
        say(_overview(found))
    counts = (found.cases, "case"), (found.errors, "error"), (found.warnings, "warning")
    more = " Every row: --json FILE" if many else ""
    say(f"{', '.join(_count(*count) for count in counts)}.{more}")


def show_plan(plan: "Plan") -> None:
    """Each choice in short words, and under it the reason."""
    words = _plan_in_words(plan)
    names = [field.name for field in fields(plan) if field.name in words]
    margin = max(map(len, names)) + len(GAP)
    for name in names:
        _say_wrapped(name.ljust(margin) + words[name], margin)
        if name in plan.reasons:
            _say_wrapped(" " * margin + plan.reasons[name], margin, style="dim")


def show_scores(table: "Scores") -> None:
    """Each class's means over the cases, then the mean over all, with its interval for Dice."""
    from delineate.metrics import summarise

    columns, rows = summarise(table)
    # Near 1 for every small structure: it stays in the file.
    kept = [i for i, name in enumerate(columns) if name != "specificity"]
    _show_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows])
    low, high = table.interval("dice")
    interval = "" if isnan(low) else f" (95 % interval {low:.4f} to {high:.4f})"
    say(f"Mean Dice {table.mean('dice'):.4f} over {_count(table.cases, 'case')}{interval}")


def show_profile(profile: "Profile") -> None:
    """The parts of a step, the figures beside them, and what binds."""
    from delineate.engine.verdict import describe, verdict

    parts = [
        (p, f"{1e3 * s:.1f}", f"{100 * profile.shares[p]:.1f}") for p, s in profile.seconds.items()
    ]
    _show_table(("part", "ms", "%"), parts)
    for line in ("", *describe(profile), "", verdict(profile)):
        say(line)


def _show_findings(findings: Iterable["Finding"]) -> None:
    """Errors in red, then warnings in yellow; of one kind only the first few."""
    colours = {"error": "red", "warning": "yellow"}
    by_kind: dict[str, list[Finding]] = {}
    for item in findings:
        by_kind.setdefault(item.kind, []).append(item)
    for kind, alike in by_kind.items():
        shown = alike if len(alike) <= FEW_ALIKE + 1 else alike[:FEW_ALIKE]
        for item in shown:
            say(str(item), style=colours[item.severity])
        if len(shown) < len(alike):
            say(f"... and {len(alike) - len(shown)} more {kind}: --json FILE")


def _overview(found: "Examination") -> str:
    """'208 cases: shapes 31..43 x 40..59 x 24..47, spacing 1 mm, 2 labels.'"""
    read = [facts for facts in found.cases if facts.shape]
    dims = sorted({len(facts.shape) for facts in read})
    parts = []
    for axes in dims:
        of = f" with {axes} axes" if len(dims) > 1 else ""
        alike = [facts for facts in read if len(facts.shape) == axes]
        parts.append(f"shapes{of} {_ranges([facts.shape for facts in alike])}")
        parts.append(f"spacing{of} {_ranges([facts.spacing for facts in alike])} mm")
    labels = {value for facts in found.cases for value in facts.labels or ()}
    parts.append(_count(sorted(labels), "label"))
    return f"{_count(found.cases, 'case')}: {', '.join(parts)}."


def _ranges(sizes: Sequence[Sequence[float]]) -> str:
    """'31..43 x 40..59 x 24..47', or a single figure where all are equal."""
    columns = zip(*sizes, strict=True)
    ends = [dict.fromkeys((_short(min(column)), _short(max(column)))) for column in columns]
    words = ["..".join(pair) for pair in ends]
    return words[0] if len(set(words)) == 1 and ".." not in words[0] else " x ".join(words)


def _plan_in_words(plan: "Plan") -> Mapping[str, str]:
    """Every choice by the name of its field."""
    rules = zip(plan.channels, plan.normalisation, strict=True)
    axis = plan.separate_axis
    return {
        "channels": ", ".join(plan.channels),
        "labels": _first_few(plan.labels.names),
        "spacing": f"{_times(plan.spacing)} mm",
        "shape": f"{_times(plan.shape)} voxels",
        "crop_nonzero": "yes" if plan.crop_nonzero else "no",
        "normalisation": "; ".join(f"{name}: {_rule(rule)}" for name, rule in rules),
        "separate_axis": "none" if axis is None else f"axis {axis}",
        "patch": f"{_times(plan.patch)} voxels",
        "batch_size": str(plan.batch_size),
        "network": _network(plan.network),
        "memory_gb": f"{plan.memory_gb:.3g} GB",
    }


def _rule(rule: "Normalisation") -> str:
    if rule.kind == "ct":
        clip = f"clip {rule.low:.4g}..{rule.high:.4g}"
        return f"{clip}, mean {rule.mean:.4g}, deviation {rule.deviation:.4g}"
    words = {"zscore": "each scan's mean and deviation", "scale": "0..255 to 0..1"}
    return words.get(rule.kind, rule.kind) + (" of nonzero voxels" if rule.nonzero else "")


def _network(network: "Network") -> str:
    """'16-32-64, strides 1-2-2, kernels 3-3-3': per stage, one figure where all axes agree."""
    features = "-".join(map(str, network.features))
    strides, kernels = (
        "-".join(str(size[0]) if len(set(size)) == 1 else _times(size) for size in stages)
        for stages in (network.strides, network.kernels)
    )
    return f"{features}, strides {strides}, kernels {kernels}"


def _first_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _say_wrapped(text: str, margin: int, style: str | None = None) -> None:
    """A line, on a terminal folded between words, its second and further lines indented."""
    if console.is_terminal:
        indent = text[:margin]
        text = fill(
            text[margin:], console.width, initial_indent=indent, subsequent_indent=" " * margin
        )
    say(text, style=style)


def _show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print one line per row; figures are right-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if console.is_terminal:
        widths = _narrow(widths, console.width - len(GAP) * (len(widths) - 1))
    figures = [all(map(_is_figure, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(lines):
        placed = map(_place, line, widths, figures or [False] * len(widths))
        say(GAP.join(placed).rstrip(), style=None if number else "bold")


def _narrow(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit, the widest columns cut first."""
    narrow = list(widths)
    while sum(narrow) > room and max(narrow) > NARROWEST:
        narrow[narrow.index(max(narrow))] -= 1
    return narrow


def _place(text: str, width: int, figure: bool) -> str:
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return text.rjust(width) if figure else text.ljust(width)


def _times(sizes: Sequence[float]) -> str:
    return "x".join(map(_short, sizes))


def _short(size: float) -> str:
    return str(size) if isinstance(size, int) else f"{size:.4g}"


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.{1 if abs(value) < 1000 else 0}f}"


def _is_figure(text: str) -> bool:
    return text in ("", "-") or text.lstrip("-").replace(".", "", 1).isdigit()
