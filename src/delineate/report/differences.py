"""What was done differently in several runs: configuration, plan, machine, data."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import yaml

from delineate.report.facts import plan_facts
from delineate.report.hashes import combined_hash
from delineate.report.record import Record

__all__ = ["what_differs"]

PLACES = {"run_dir", "data.cache"}
"""Keys that say where files lie, and nothing of what was done."""


def what_differs(runs: Mapping[str, Record]) -> str:
    """A row per key whose value is not the same in all runs; a sentence where there is none."""
    known = {name: _facts(record) for name, record in runs.items()}
    keys = dict.fromkeys(key for facts in known.values() for key in facts)
    rows = []
    for key in keys:
        values = [facts.get(key, "") for facts in known.values()]
        if len(set(values)) > 1:
            cells = "".join(f"<td>{escape(value)}</td>" for value in values)
            rows.append(f'<tr><th scope="row">{escape(key)}</th>{cells}</tr>')
    if not rows:
        return '<p class="note">Nothing that these runs have written down.</p>'
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in runs)
    return (
        '<div class="scroll"><table class="differences"><thead><tr><th></th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _facts(record: Record) -> dict[str, str]:
    """Everything that may differ, by a key that says where it stands."""
    config = yaml.safe_load(record.config) if record.config else {}
    facts = {f"config {k}": v for k, v in _flat(config, "") if k not in PLACES}
    if record.plan is not None:
        facts |= {f"plan {key}": value for key, value in plan_facts(record.plan).items()}
    facts |= {f"machine {key}": value for key, value in _flat(record.environment, "")}
    if record.cases:
        facts["cases held out"] = str(len(record.held_out))
    if record.hashes:
        facts["data"] = combined_hash(record.hashes)[:16]
    return facts


def _flat(value: Any, above: str) -> Iterator[tuple[str, str]]:
    """Values by dotted key; entries of a list by their number."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flat(entry, f"{above}.{key}" if above else str(key))
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for number, entry in enumerate(value, 1):
            yield from _flat(entry, f"{above}.{number}")
    else:
        yield above, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
