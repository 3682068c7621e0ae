"""What the schema refuses, in words: the key, what it wants, what it got, the nearest right key."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from delineate.config.meanings import meaning
from delineate.config.places import Key, Mistake, Places, dotted, find_place
from delineate.config.schema import Config
from delineate.config.words import describe, did_you_mean, join, spell

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
    found: dict[Key, str] = {}
    for detail in error.errors(include_url=False):
        key, annotation = _locate(detail["loc"])
        if detail["type"] == "extra_forbidden":
            key = detail["loc"]
        if key not in found:
            found[key] = _say(detail, key, annotation, data)
    for key, text in found.items():
        # A list whose entry is wrong is also too short for the schema: only the entry is to mend.
        if not any(other != key and other[: len(key)] == key for other in found):
            yield Mistake(key, find_place(key, places), text)


def _locate(loc: Key) -> tuple[Key, Any]:
    """The key of the schema that holds the fault, and the type it wants."""
    annotation: Any = Config
    for depth, step in enumerate(loc):
        inside = _inside(annotation, step)
        if inside is None:
            return loc[:depth], annotation
        annotation = inside
    return loc, annotation


def _inside(annotation: Any, step: str | int) -> Any:
    """The type of a section's key or of an entry in a list of sections, or None."""
    if _is_section(annotation):
        field = annotation.model_fields.get(step)
        return field and (_annotated(field) if field.metadata else field.annotation)
    for member in (annotation, *get_args(annotation)):
        items = get_args(member)
        if isinstance(step, int) and items and _is_section(items[0]):
            return items[0]
    return None


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _annotated(field: Any) -> Any:
    return Annotated[field.annotation, *field.metadata]


def _say(detail: ErrorDetails, key: Key, annotation: Any, data: Any) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _say_unknown(key)
        case "missing":
            return _say_missing(key)
        case "value_error":
            return f"{dotted(key)} {detail.get('ctx', {}).get('error')}"
    return f"{dotted(key)} wants {describe(annotation)}, got {spell(_value_at(data, key))}."


def _say_unknown(key: Key) -> str:
    name, section = str(key[-1]), _locate(key[:-1])[1]
    said = f"unknown key '{dotted(key)}'."
    if "." in name:
        outer, inner = name.split(".", 1)
        return f"{said} Fix: nest it, {outer}: {{{inner}: ...}}."
    siblings = section.model_fields
    near = did_you_mean(name, siblings) or _elsewhere(name)
    return said + (near or f" There are: {join(list(siblings), 'and')}.")


def _elsewhere(name: str) -> str:
    """The same name in another section, or what is called differently here."""
    for section, field in Config.model_fields.items():
        annotation: Any = field.annotation
        if _is_section(annotation) and name in annotation.model_fields:
            return f" Did you mean '{section}.{name}'?"
    near = get_close_matches(name.lower(), FAMILIAR, n=1, cutoff=0.8)
    return f" Did you mean '{FAMILIAR[near[0]]}'?" if near else ""


def _say_missing(key: Key) -> str:
    if key == ("data",):
        key = ("data", "root")
    name, text = dotted(key), meaning(_locate(key[:-1])[1], str(key[-1]))
    return f"missing key '{name}', {text[0].lower()}{text[1:]} Fix: add it, or give {name}=VALUE."


def _value_at(data: Any, key: Key) -> Any:
    for step in key:
        data = data[step]
    return data
