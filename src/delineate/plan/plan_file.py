"""plan.json: a plan as a person reads and edits it, the reason beside each choice.

    "patch": {
      "value": [40, 56, 40],
      "why": "The median shape 36x50x35, padded until the network's strides divide it."
    },

A choice may also be written without a reason: `"patch": [40, 56, 40]`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from delineate.errors import DataError, PlanError
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.plan.check import Problem, check_fields, check_together, suggest
from delineate.plan.plan import Network, Normalisation, Plan

__all__ = ["parse_plan", "read_plan", "write_plan"]

_WIDTH = 96
_KEYS = tuple(f.name for f in fields(Plan) if f.name != "reasons")


def write_plan(plan: Plan, path: Path) -> None:
    """Save the plan as short, readable JSON; the file is replaced at once or not at all."""
    values = {**asdict(plan), "labels": plan.labels.to_json()}
    values["normalisation"] = [_without_defaults(n) for n in plan.normalisation]
    document = {
        key: {"value": values[key], "why": plan.reasons[key]}
        if key in plan.reasons
        else values[key]
        for key in _KEYS
    }
    with atomic_path(path) as draft:
        draft.write_text(_pretty(document) + "\n", encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """Read a plan, edited by hand or not; a PlanError names all that is wrong with it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError(f"{path}: no such file. Fix: delineate plan writes it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read: {error}.") from None
    return parse_plan(text, str(path))


def parse_plan(text: str, where: str) -> Plan:
    """The plan that a text holds; `where` it stands is what a PlanError begins with."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(f"{where}:{error.lineno}: not JSON: {error.msg}.") from None
    if not isinstance(document, dict):
        raise PlanError(f"{where}: a plan is a JSON object, got {type(document).__name__}.")
    values, reasons, problems = _unwrap(document)
    problems += check_fields(values)
    if problems:
        raise _refuse(where, text, problems)
    plan = _assemble(values, reasons, problems)
    if plan is None or (problems := check_together(plan)):
        raise _refuse(where, text, problems)
    return plan


def _unwrap(
    document: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """Values by key, reasons by key, and what is missing, unknown or oddly wrapped."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    problems = []
    for key, entry in document.items():
        if key not in _KEYS:
            problems.append(Problem(key, f"unknown key{suggest(key, _KEYS)}"))
        elif isinstance(entry, dict) and "value" in entry:
            if odd := sorted(set(entry) - {"value", "why"}):
                problems.append(Problem(key, f"unknown key '{odd[0]}' beside 'value' and 'why'."))
            if not isinstance(why := entry.get("why", ""), str):
                problems.append(Problem(key, "'why' must be a text."))
            values[key] = entry["value"]
            if "why" in entry:
                reasons[key] = why
        else:
            values[key] = entry
    problems += [Problem(key, "is missing.") for key in _KEYS if key not in document]
    return values, reasons, problems


def _assemble(
    values: Mapping[str, Any], reasons: dict[str, str], problems: list[Problem]
) -> Plan | None:
    """The plan, or None and a problem more where the labels contradict each other."""
    try:
        labels = Labels.from_json(values["labels"])
    except DataError as error:
        problems.append(Problem("labels", str(error).removeprefix("labels: ")))
        return None
    net = values["network"]
    return Plan(
        channels=tuple(values["channels"]),
        labels=labels,
        spacing=tuple(map(float, values["spacing"])),
        shape=tuple(values["shape"]),
        crop_nonzero=values["crop_nonzero"],
        normalisation=tuple(_normalisation(n) for n in values["normalisation"]),
        separate_axis=values["separate_axis"],
        patch=tuple(values["patch"]),
        batch_size=values["batch_size"],
        network=Network(
            features=tuple(net["features"]),
            strides=tuple(map(tuple, net["strides"])),
            kernels=tuple(map(tuple, net["kernels"])),
            convolutions=tuple(net["convolutions"]),
        ),
        memory_gb=float(values["memory_gb"]),
        reasons=reasons,
    )


def _normalisation(entry: Mapping[str, Any]) -> Normalisation:
    figures: dict[str, Any] = {k: float(v) if type(v) is int else v for k, v in entry.items()}
    return Normalisation(**figures)


def _without_defaults(normalisation: Normalisation) -> dict[str, Any]:
    plain = Normalisation(kind=normalisation.kind)
    return {
        key: value
        for key, value in asdict(normalisation).items()
        if key == "kind" or value != getattr(plain, key)
    }


def _refuse(where: str, text: str, problems: list[Problem]) -> PlanError:
    lines = text.splitlines()

    def place(key: str) -> str:
        hits = (i for i, line in enumerate(lines, 1) if line.strip().startswith(f'"{key}"'))
        number = next(hits, None)
        return f"{where}:{number}" if number else where

    told = [f"{place(p.key.split('.')[0])}: {p.key}: {p.text}" for p in problems]
    return PlanError("\n".join(told))


def _pretty(value: Any, indent: int = 0) -> str:
    """JSON in which whatever fits on a line, but the whole, stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict) and "why" in value
    if not isinstance(value, dict | list) or (
        len(line) + indent < _WIDTH and indent and not nested
    ):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {_pretty(v, indent + 2)}" for k, v in value.items()]
        opening, closing = "{", "}"
    else:
        parts = [_pretty(v, indent + 2) for v in value]
        opening, closing = "[", "]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{' ' * indent}{closing}"
