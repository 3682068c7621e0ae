"""What a model card says of a training, without a name of a case, a person or a folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from delineate.config import Config, Part, load_config
from delineate.metrics import Row, Table, read_table
from delineate.package.runs import list_cases
from delineate.report.record import read_record
from delineate.run_folder import RunFolder

__all__ = ["Training", "pool_tables", "take_training"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the networks came to be; each tuple has an entry per network."""

    networks: tuple[str, ...]
    """Their names."""
    steps: tuple[int | None, ...]
    """The optimiser step of the weights that were kept; None where it is not noted."""
    seconds: tuple[float | None, ...]
    trained: int
    """Cases that at least one network was trained on."""
    held_out: int
    """Cases that at least one network was scored on, and had not seen."""
    patients: int
    """How many patients, or other groups, all these cases are of."""
    recipe: Mapping[str, str]
    """What was asked for, in words, by subject."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Machine and versions, of the first run."""


def take_training(runs: Sequence[RunFolder]) -> Training:
    """The facts of all runs; what a run has not written is left out."""
    configs = [load_config(run.config) for run in runs]
    records = [read_record(run.path) for run in runs]
    everyone = list_cases(runs, "training", "validation")
    return Training(
        networks=tuple(config.model.name for config in configs),
        steps=tuple(_step(run) for run in runs),
        seconds=tuple(record.curves.last("seconds") for record in records),
        trained=len(list_cases(runs, "training")),
        held_out=len(list_cases(runs, "validation")),
        patients=len({case.group or case.id for case in everyone}),
        recipe=_recipe(configs),
        environment=records[0].environment,
    )


def pool_tables(runs: Iterable[RunFolder]) -> Table | None:
    """The scores of every held-out case; the mean where several networks had it held out."""
    found: dict[tuple[str, str], list[Row]] = {}
    for table in (read_table(run.table) for run in runs if run.table.is_file()):
        for row in table.rows:
            found.setdefault((row.case, row.label), []).append(row)
    return Table(tuple(map(_mean_row, found.values()))) if found else None


def _mean_row(rows: Sequence[Row]) -> Row:
    first = rows[0]
    if len(rows) == 1:
        return first
    values = {}
    for metric in first.values:
        known = [row.values[metric] for row in rows if not isnan(row.values.get(metric, nan))]
        values[metric] = sum(known) / len(known) if known else nan
    return Row(case=first.case, label=first.label, values=values)


def _recipe(configs: Sequence[Config]) -> dict[str, str]:
    first = configs[0]
    seeds = sorted({config.train.seed for config in configs})
    return {
        "network": ", ".join(dict.fromkeys(_named(config.model) for config in configs)),
        "loss": " + ".join(_weighted(part) for part in first.loss),
        "augmentation": ", ".join(part.name for part in first.augment) or "none",
        "optimiser": f"{first.optimizer.name}, learning rate {first.optimizer.lr:g}",
        "schedule": first.schedule.name,
        "budget": f"{first.train.budget}",
        "start": "random weights" if first.start.weights is None else "weights from elsewhere",
        "seed": ", ".join(map(str, seeds)),
    }


def _named(part: Part) -> str:
    """The name and whatever numbers and switches were asked for; texts might tell of a place."""
    plain = {k: v for k, v in part.arguments.items() if isinstance(v, bool | int | float)}
    told = ", ".join(f"{key}={value}" for key, value in plain.items())
    return f"{part.name} ({told})" if told else part.name


def _weighted(part: Any) -> str:
    weight = part.weight
    plain = isinstance(weight, int | float)
    return part.name if weight == 1 else f"{weight:g} {part.name}" if plain else f"ramp {part.name}"


def _step(run: RunFolder) -> int | None:
    facts = run.weights.with_suffix(".json")
    return json.loads(facts.read_text(encoding="utf-8")).get("step") if facts.is_file() else None
