"""The report of a cascade: `report.json` with everything, a table of series, one of slices."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from delineate.inference.made_by import FILE
from delineate.io import atomic_path
from delineate.systems.spine.cascade.outcome import Outcome, SliceVerdict
from delineate.systems.spine.cascade.settings import CascadeSettings
from delineate.systems.spine.cascade.weights_folder import Networks

__all__ = ["closing_lines", "write_reports"]

SERIES = (
    "series", "kind", "state", "stage", "reason", "slices", "used", "lesions", "lesion_pixels",
    "lesion_ml", "cord_ml",
)  # fmt: skip
DIGITS = 4


def write_reports(
    out: Path, outcomes: Sequence[Outcome], settings: CascadeSettings, networks: Networks
) -> None:
    """Write `report.json`, `report.csv`, `slices.csv`, and the mark of a folder of predictions."""
    made_by = {
        "checkpoints": {name: str(path) for name, path in networks.files.items()},
        "sha256": networks.checksums(),
        "settings": settings.model_dump(mode="json"),
    }
    _write_json(out / FILE, made_by)
    _write_json(out / "report.json", {**made_by, "series": [asdict(o) for o in outcomes]})
    _write_csv(out / "report.csv", SERIES, map(_series_row, outcomes))
    gates = [stage.gate.name for stage in networks.gates]
    answered = [column for gate in gates for column in (gate, f"{gate}_probability")]
    columns = ("series", "slice", "name", *answered, "reason", "cord_pixels", "lesion_pixels")
    rows = (
        _slice_row(outcome, number, verdict, gates)
        for outcome in outcomes
        for number, verdict in enumerate(outcome.slices)
    )
    _write_csv(out / "slices.csv", columns, rows)


def closing_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """What a cascade found, in words: one line for each series, and one for all."""
    lines = []
    for outcome in outcomes:
        if outcome.state == "accepted":
            lines.append(f"{outcome.series}: {_found(outcome)}")
        else:
            lines.append(f"{outcome.series}: {outcome.state} at {outcome.stage}: {outcome.reason}")
    states = Counter(outcome.state for outcome in outcomes)
    counted = ", ".join(f"{states[s]} {s}" for s in ("accepted", "rejected", "failed") if states[s])
    return [*lines, f"{len(outcomes)} series: {counted}."]


def _found(outcome: Outcome) -> str:
    lesions = outcome.lesions or 0
    number = f"{lesions} lesion{'s' * (lesions != 1)}" if lesions else "no lesions"
    volume = f", {outcome.lesion_ml:.3g} ml" if lesions and outcome.lesion_ml is not None else ""
    return f"{number}{volume}, in {_used(outcome)} of {len(outcome.slices)} slices looked at"


def _used(outcome: Outcome) -> int:
    return sum(verdict.lesion_pixels is not None for verdict in outcome.slices)


def _pixels(outcome: Outcome) -> int | str:
    known = [v.lesion_pixels for v in outcome.slices if v.lesion_pixels is not None]
    return sum(known) if known else ""


def _series_row(outcome: Outcome) -> tuple[object, ...]:
    return (
        outcome.series, outcome.kind, outcome.state, outcome.stage, outcome.reason,
        len(outcome.slices), _used(outcome), _told(outcome.lesions), _pixels(outcome),
        _told(outcome.lesion_ml), _told(outcome.cord_ml),
    )  # fmt: skip


def _slice_row(
    outcome: Outcome, number: int, verdict: SliceVerdict, gates: Iterable[str]
) -> tuple[object, ...]:
    answers: list[object] = []
    for gate in gates:
        name, probability = verdict.answers.get(gate, ("", None))
        answers += [name, _told(probability)]
    pixels = (_told(verdict.cord_pixels), _told(verdict.lesion_pixels))
    return (outcome.series, number, verdict.name, *answers, verdict.reason, *pixels)


def _told(value: float | int | None) -> object:
    if value is None:
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    with atomic_path(path) as part:
        part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
