"""What a model of pydantic refuses, in words: the key, what it wants, what it got."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from delineate.config.places import Key, Mistake, Places, dotted, find_place, refuse
from delineate.config.words import describe, did_you_mean, join, spell

__all__ = ["Hint", "explain", "nearest", "say", "validated"]

SomeSection = TypeVar("SomeSection", bound=BaseModel)
Hint = Callable[[Key, type[BaseModel]], str]
"""From a key and the section that it stands in, or should stand in, to words about it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """What an unknown name may have meant; where nothing is near, all that there are."""
    known = list(known)
    return did_you_mean(name, known) or f" There are: {join(known, 'and')}."


def say(name: str, wanted: Any, fault: ErrorDetails, got: Any) -> str:
    """What is wrong with a value whose type is known."""
    if fault["type"] == "value_error":
        return f"{name} {fault.get('ctx', {}).get('error')}"
    near = did_you_mean(got, _choices(wanted)) if isinstance(got, str) else ""
    return f"{name} wants {describe(wanted)}, got {spell(got)}.{near}"


def _meant(key: Key, section: type[BaseModel]) -> str:
    return nearest(str(key[-1]), section.model_fields)


def _add_it(key: Key, _: type[BaseModel]) -> str:
    return f"'{dotted(key)}'. Fix: add it."


def validated(
    schema: type[SomeSection], data: Any, places: Places, *, unknown: Hint = _meant
) -> SomeSection:
    """What the data say; all that is wrong with them is one ConfigError."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        refuse(explain(error, schema, data, places, unknown=unknown))
        raise


def explain(
    error: ValidationError,
    schema: type[BaseModel],
    data: Any,
    places: Places,
    *,
    unknown: Hint = _meant,
    missing: Hint = _add_it,
) -> Iterator[Mistake]:
    """One mistake a key, in the order of the schema.

    Args:
        unknown: What stands behind an unknown key.
        missing: What stands behind "missing key".
    """
    found: dict[Key, tuple[Key, str]] = {}
    for fault in error.errors(include_url=False):
        loc = fault["loc"]
        key, wanted = _locate(schema, loc)
        outer, around = _locate(schema, loc[:-1])
        section = _section(around) if outer == loc[:-1] else None
        if section and fault["type"] == "extra_forbidden":
            key, text = loc, f"unknown key '{dotted(loc)}'.{unknown(loc, section)}"
        elif section and fault["type"] == "missing":
            text = f"missing key {missing(loc, section)}"
        else:
            text = say(dotted(key), wanted, fault, _value_at(data, key, fault["input"]))
        found.setdefault(key, (loc, text))
    for key, (loc, text) in found.items():
        # A list whose entry is wrong is also too short for the schema: only the entry is to mend.
        if not any(other != key and other[: len(key)] == key for other in found):
            yield Mistake(key, find_place(loc, places), text)


def _locate(schema: type[BaseModel], loc: Key) -> tuple[Key, Any]:
    """The key of the schema that holds a fault, and the type it wants."""
    annotation: Any = schema
    for depth, step in enumerate(loc):
        inside = _inside(annotation, step)
        if inside is None:
            return loc[:depth], annotation
        annotation = inside
    return loc, annotation


def _inside(annotation: Any, step: str | int) -> Any:
    """The type of a section's key, or of an entry in a list or a mapping of sections, or None."""
    section = _section(annotation)
    if section is not None:
        field = section.model_fields.get(str(step))
        if field is None or not field.metadata:
            return field and field.annotation
        return Annotated[field.annotation, *field.metadata]
    for member in _members(annotation):
        kind, items = get_origin(member), get_args(member)
        if kind in (tuple, dict):
            return _section(items[0] if kind is tuple else items[1])
    return None


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or is besides null."""
    members = _members(annotation)
    return next((m for m in members if isinstance(m, type) and issubclass(m, BaseModel)), None)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that one type leaves to choose from."""
    several = get_origin(annotation) in (Annotated, Union, UnionType)
    return get_args(annotation) if several else (annotation,)


def _choices(kind: Any) -> list[str]:
    """The words that a type leaves to choose from."""
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    return [word for member in get_args(kind) for word in _choices(member)]


def _value_at(data: Any, key: Key, otherwise: Any) -> Any:
    """What stands there; where a section was made of something else, what it was made of."""
    for step in key:
        entries: Any = dict(enumerate(data)) if isinstance(data, list | tuple) else data
        if not isinstance(entries, Mapping) or step not in entries:
            return otherwise
        data = entries[step]
    return data
