"""What the schema refuses, with the nearest right key, wherever it stands."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from delineate.config import faults
from delineate.config.meanings import meaning
from delineate.config.places import Key, Mistake, Places, dotted
from delineate.config.schema import Config, Data
from delineate.config.words import did_you_mean

__all__ = ["explain"]

FAMILIAR = {
    "epochs": "train.budget: 100 epochs",
    "max_epochs": "train.budget: 100 epochs",
    "num_epochs": "train.budget: 100 epochs",
    "steps": "train.budget: 500 steps",
    "max_steps": "train.budget: 500 steps",
    "learning_rate": "optimizer.lr",
    "lr": "optimizer.lr",
    "num_workers": "train.workers",
    "patch_size": "plan.patch",
    "output_dir": "run_dir",
    "dataset": "data.root",
}
"""What other frameworks call it."""


def explain(error: ValidationError, data: Any, places: Places) -> Iterator[Mistake]:
    """One mistake a key, in the order of the schema."""
    return faults.explain(error, Config, data, places, unknown=_meant, missing=_add_it)


def _meant(key: Key, section: type[BaseModel]) -> str:
    name = str(key[-1])
    if "." in name:
        outer, inner = name.split(".", 1)
        return f" Fix: nest it, {outer}: {{{inner}: ...}}."
    near = did_you_mean(name, section.model_fields) or _elsewhere(name)
    return near or faults.nearest(name, section.model_fields)


def _elsewhere(name: str) -> str:
    """The same name in another section, or what is called differently here."""
    for section, field in Config.model_fields.items():
        if name in getattr(field.annotation, "model_fields", ()):
            return f" Did you mean '{section}.{name}'?"
    near = get_close_matches(name.lower(), FAMILIAR, n=1, cutoff=0.8)
    return f" Did you mean '{FAMILIAR[near[0]]}'?" if near else ""


def _add_it(key: Key, section: type[BaseModel]) -> str:
    if key == ("data",):
        key, section = ("data", "root"), Data
    name, text = dotted(key), meaning(section, str(key[-1]))
    return f"'{name}', {text[0].lower()}{text[1:]} Fix: add it, or give {name}=VALUE."
