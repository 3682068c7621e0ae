"""`section.key=value` on the command line: each replaces one value of what the file says."""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

from pydantic_core import to_jsonable_python

from delineate.config.places import Key, Mistake, Place, dotted
from delineate.config.schema import Config, Part, Section
from delineate.config.yaml_text import Reading, read_yaml
from delineate.errors import ConfigError

__all__ = ["COMMAND_LINE", "apply_overrides"]

COMMAND_LINE = Place("command line")
KEPT = ("name", "weight", "lr", "weight_decay")
"""What is said of a part whichever it is."""


class _OverrideError(Exception):
    """Why an override cannot be applied."""


def apply_overrides(reading: Reading, overrides: Sequence[str]) -> None:
    """Put the overrides into the reading, in order; what cannot be put is noted as a mistake."""
    for text in overrides:
        name, equals, value = text.partition("=")
        key: Key = tuple(name.strip().split("."))
        if not equals or not all(key):
            reading.mistakes.append(
                Mistake(key, COMMAND_LINE, f"'{text}' is not of the form section.key=value.")
            )
            continue
        try:
            _put(reading, key, value)
        except _OverrideError as refusal:
            reading.mistakes.append(Mistake(key, COMMAND_LINE, f"{name}: {refusal}"))


def _put(reading: Reading, key: Key, text: str) -> None:
    """Replace one value, making the sections on the way to it."""
    data, way = reading.data, cast(Key, ())
    for name in key[:-1]:
        step = _step_into(data, name, way)
        way = (*way, step)
        reading.places.setdefault(way, COMMAND_LINE)
        data = data[step]
    last: Any = _index(data, str(key[-1]), way) if isinstance(data, list) else key[-1]
    whole = (*way, last)
    value = _read_value(text, whole)
    _forget(reading, whole)
    reading.places |= value.places | {whole: COMMAND_LINE}
    reading.mistakes += value.mistakes
    if key[-1] == "name":
        _drop_arguments(reading, way, data, name=value.data)
    if isinstance(data, list) and last == len(data):
        data.append(value.data)
    else:
        data[last] = value.data


def _drop_arguments(reading: Reading, way: Key, part: Any, *, name: str) -> None:
    """Another part takes other arguments: what the file said about the old one goes with it."""
    if part.get("name") in (None, name):
        return
    for argument in [k for k in part if k not in KEPT]:
        if reading.places.get((*way, argument)) != COMMAND_LINE:
            del part[argument]
            _forget(reading, (*way, argument))


def _step_into(data: Any, name: str | int, way: Key) -> Any:
    """The step to the section or list of that name, made from the defaults if it is not there."""
    step: Any = _index(data, str(name), way) if isinstance(data, list) else name
    if isinstance(data, list):
        if step == len(data):
            data.append({})
    elif data.get(step) is None:
        data[step] = _default(name) if not way else {}
    if not isinstance(data[step], dict | list):
        raise _OverrideError(f"{dotted((*way, step))} is a value, not a section.")
    return step


def _index(data: list, name: str, way: Key) -> int:
    if name.isdecimal() and int(name) <= len(data):
        return int(name)
    raise _OverrideError(
        f"the entries of {dotted(way)} are counted from 0, and the next free one is {len(data)}, "
        f"got '{name}'."
    )


def _default(name: str | int) -> Any:
    """What a part or a list is where the file does not mention it."""
    field = Config.model_fields.get(str(name))
    keeps_defaults = isinstance(getattr(field, "default", None), (Part, tuple))
    if field is None or not keeps_defaults:
        return {}
    return to_jsonable_python(field.get_default())


def _read_value(text: str, key: Key) -> Reading:
    """The value as YAML; where text is wanted, it is taken as it stands."""
    literal = _wants_text(key) and text.strip().lower() not in ("", "~", "null")
    try:
        value = read_yaml(text, lambda _: COMMAND_LINE, start=key)
    except ConfigError as error:
        if literal:
            return Reading(data=text)
        problem = str(error).partition(": ")[2]
        raise _OverrideError(f"'{text}' is {problem}") from None
    if literal and (value.mistakes or not isinstance(value.data, str)):
        return Reading(data=text)
    return value


def _wants_text(key: Key) -> bool:
    """Whether the schema takes only text or a path there."""
    model: Any = Config
    for step in key[:-1]:
        field = model.model_fields.get(step)
        if field is None or not isinstance(field.annotation, type):
            return False
        if not issubclass(field.annotation, Section):
            return False
        model = field.annotation
    field = model.model_fields.get(key[-1])
    if field is None:
        return False
    members = get_args(field.annotation) or (field.annotation,)
    return all((*get_args(m), m)[0] in (str, Path, NoneType) for m in members)


def _forget(reading: Reading, key: Key) -> None:
    """Drop what was said about the value that is replaced."""
    inside = len(key)
    reading.places = {k: p for k, p in reading.places.items() if k[:inside] != key}
    reading.mistakes = [m for m in reading.mistakes if m.key[:inside] != key]
