"""Types, values and near misses in plain words: for messages and for the reference page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

__all__ = ["Words", "describe", "did_you_mean", "join", "spell"]


@dataclass(frozen=True, slots=True)
class Words:
    """Attached to a type by `Annotated`: how to say it, where the type itself says too little."""

    text: str


SINGULAR = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
PLURAL = {int: "whole numbers", float: "numbers", bool: "true or false values", str: "texts"}
BOUNDS = {Ge: ("ge", "of at least"), Gt: ("gt", "above"), Le: ("le", "up to"), Lt: ("lt", "below")}


def describe(annotation: Any, *, plural: bool = False) -> str:
    """What a type accepts, as a person says it: 'a whole number of at least 1, or null'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        told = next((e.text for e in extras if isinstance(e, Words)), None)
        return told or describe(base, plural=plural) + _bounds(extras)
    if origin in (Union, UnionType, Literal):
        return join(_alternatives(annotation), "or")
    if origin in (tuple, list, Sequence):
        return f"a list of {describe(get_args(annotation)[0], plural=True)}"
    if origin in (dict, Mapping):
        return f"a mapping of names to {describe(get_args(annotation)[1], plural=True)}"
    if annotation in SINGULAR:
        return (PLURAL if plural else SINGULAR)[annotation]
    if annotation is Path:
        return "paths" if plural else "a path"
    if annotation is NoneType:
        return "null"
    if annotation is Any:
        return "values" if plural else "anything"
    if hasattr(annotation, "model_fields"):
        return _describe_section(annotation, plural=plural)
    return getattr(annotation, "__name__", str(annotation))


def _describe_section(model: Any, *, plural: bool) -> str:
    if "name" in model.model_fields:
        return "entries of name: and arguments" if plural else "name: and its arguments"
    return "sections of keys" if plural else "a section of keys"


def _alternatives(annotation: Any) -> list[str]:
    """The members of a union, literals spelt out, null last."""
    if get_origin(annotation) is Literal:
        return [str(a) for a in get_args(annotation)]
    if get_origin(annotation) not in (Union, UnionType):
        return [describe(annotation)]
    members = sorted(get_args(annotation), key=lambda member: member is NoneType)
    return [word for member in members for word in _alternatives(member)]


def _bounds(extras: Iterable[Any]) -> str:
    said = [
        f"{BOUNDS[type(e)][1]} {getattr(e, BOUNDS[type(e)][0]):g}"
        for e in extras
        if type(e) in BOUNDS
    ]
    return f" {' and '.join(said)}" if said else ""


def spell(value: Any) -> str:
    """A value as it stands in YAML, in quotes if it is text, cut after 60 characters."""
    if isinstance(value, str):
        text = f"'{value}'"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{k}: {spell(v)}" for k, v in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(spell(v) for v in value) + "]"
    elif value is None or isinstance(value, bool | int | float):
        text = json.dumps(value)
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'x'?", or nothing where no choice is near.

    Of choices that differ in capitals only, the first.
    """
    by_lower = {choice.lower(): choice for choice in reversed(list(choices))}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""


def join(words: Sequence[str], conjunction: str) -> str:
    """'a, b or c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
