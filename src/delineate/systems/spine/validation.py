"""Sections out of what a file says; what they refuse is told with the file and the line."""

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from delineate.config.places import Key, Mistake, dotted, find_place, refuse
from delineate.config.words import did_you_mean, join, spell
from delineate.systems.spine.yaml_file import Document

__all__ = ["validated"]

SomeSection = TypeVar("SomeSection", bound=BaseModel)
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "dict": "keys and values",
    "model": "keys and values",
    "tuple": "a list",
}


def validated(section: type[SomeSection], said: Any, document: Document) -> SomeSection:
    """The section that a document says; all mistakes are one ConfigError.

    Args:
        said: The values, as they are taken from the document; keys stand where they do in there.
        document: What knows the lines.
    """
    try:
        return section.model_validate(said)
    except ValidationError as error:
        refuse(_mistakes(error, section, document))
        raise


def _mistakes(
    error: ValidationError, section: type[BaseModel], document: Document
) -> Iterator[Mistake]:
    for fault in error.errors(include_url=False):
        key = tuple(fault["loc"])
        if fault["type"] == "missing":
            text = f"missing key '{dotted(key)}'. Fix: add it."
        elif fault["type"] == "extra_forbidden":
            known = _siblings(section, key[:-1])
            near = did_you_mean(str(key[-1]), known) or f" There are: {join(known, 'and')}."
            text = f"unknown key '{dotted(key)}'.{near}"
        elif fault["type"] == "value_error":
            text = f"{dotted(key)} {fault.get('ctx', {}).get('error')}"
        else:
            text = f"{dotted(key)} wants {_wanted(fault)}, got {spell(fault['input'])}."
        yield Mistake(key, find_place(key, document.places), text)


def _wanted(fault: ErrorDetails) -> str:
    """What stands in the way of a value, as a person says it."""
    context = fault.get("ctx", {})
    match fault["type"].partition("_"):
        case ("greater", _, rest):
            least = "of at least" if "equal" in rest else "above"
            return f"a number {least} {next(iter(context.values()))}"
        case ("literal", _, _):
            return str(context["expected"])
        case (kind, _, _) if kind in KINDS:
            return KINDS[kind]
    return fault["msg"][0].lower() + fault["msg"][1:]


def _siblings(section: type[BaseModel], way: Key) -> list[str]:
    """The keys of the section that a way leads to."""
    here: Any = section
    for step in way:
        inside = here.model_fields.get(step) if isinstance(here, type) else None
        if inside is not None:
            here = _inner(inside.annotation)
    return list(here.model_fields) if isinstance(here, type) else []


def _inner(annotation: Any) -> Any:
    """The section in a type such as tuple[Gate, ...]."""
    members = [annotation, *get_args(annotation)]
    return next((m for m in members if isinstance(m, type) and issubclass(m, BaseModel)), None)
