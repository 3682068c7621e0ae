"""What the doctor found: cases, findings, and an overview where the cases are many."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from delineate.console.lines import count, say, short, show_table, times

if TYPE_CHECKING:
    from delineate.datasets import Examination, Finding

__all__ = ["show_examination"]

FEW_CASES = 20
"""Up to so many cases each have a line; of more, only those with a finding."""
FEW_ALIKE = 5
"""Findings of one kind that are written out; the others are counted."""


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
            times(facts.shape),
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
        show_table(heads, rows)
        say("")
    _show_findings(found.findings)
    if many:
        say(_overview(found))
    totals = (found.cases, "case"), (found.errors, "error"), (found.warnings, "warning")
    more = " Every row: --json FILE" if many else ""
    say(f"{', '.join(count(*total) for total in totals)}.{more}")


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
    parts.append(count(sorted(labels), "label"))
    return f"{count(found.cases, 'case')}: {', '.join(parts)}."


def _ranges(sizes: Sequence[Sequence[float]]) -> str:
    """'31..43 x 40..59 x 24..47', or a single figure where all are equal."""
    columns = zip(*sizes, strict=True)
    ends = [dict.fromkeys((short(min(column)), short(max(column)))) for column in columns]
    words = ["..".join(pair) for pair in ends]
    return words[0] if len(set(words)) == 1 and ".." not in words[0] else " x ".join(words)
