"""A dataclass whose values are checked when they are given and whenever they are set."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Self, get_type_hints

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from delineate.config.faults import nearest, say
from delineate.config.kinds import FilePath
from delineate.errors import ConfigError

__all__ = ["Checked", "PathText", "mistakes", "plain", "thaw"]


FOLDERS = TypeAdapter(FilePath)


def _to_text(value: Any) -> Any:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return str(FOLDERS.validate_python(text)) if str(text).startswith("~") else text


PathText = Annotated[str, BeforeValidator(_to_text)]
"""A path as text, so that it can be written to JSON as it is."""


class Checked:
    """Abstract: what its dataclass is given, at first or later, fits its annotations.

    All that is wrong at construction is one ConfigError; so is an unknown name.
    """

    def __new__(cls, **given: Any) -> Self:
        """Look at every value before the first is kept."""
        wrong = [text for _, text in mistakes(cls, given)]
        if wrong:
            raise ConfigError("\n".join(f"{cls.__name__}: {text}" for text in wrong))
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep a value that fits, a list as the tuple that the annotation says."""
        kept, wrong = _read(type(self), name, value)
        if wrong is not None:
            raise ConfigError(f"{type(self).__name__}: {wrong}")
        super().__setattr__(name, kept)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Rules between values: what breaks one is a ConfigError. Users of the settings ask."""
        wrong = list(self.conflicts())
        if wrong:
            raise ConfigError("\n".join(f"{type(self).__name__}: {text}" for text in wrong))

    def conflicts(self) -> Iterator[str]:
        """Each rule between values that is broken, in words."""
        yield from ()


def mistakes(cls: type[Any], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each name whose value does not fit the dataclass, and what is wrong with it."""
    for name, value in given.items():
        _, wrong = _read(cls, name, value)
        if wrong is not None:
            yield name, wrong


def plain(settings: Any) -> dict[str, Any]:
    """Dicts, lists, numbers and texts only; the class reads equal settings from them."""
    return {f.name: thaw(getattr(settings, f.name)) for f in fields(settings)}


def thaw(value: Any) -> Any:
    """Lists for tuples, and dicts that can be changed, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): thaw(inner) for key, inner in value.items()}
    return [thaw(inner) for inner in value] if isinstance(value, list | tuple) else value


@cache
def _kinds(cls: type[Any]) -> dict[str, Any]:
    """The annotation of each field by its name."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


@cache
def _adapter(cls: type[Any], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_kinds(cls)[name])


def _read(cls: type[Any], name: str, value: Any) -> tuple[Any, str | None]:
    """The value as it is kept, and what is wrong with it."""
    known = _kinds(cls)
    if name not in known:
        return None, f"unknown key '{name}'.{nearest(name, known)}"
    try:
        return _adapter(cls, name).validate_python(value), None
    except ValidationError as error:
        return None, say(name, known[name], error.errors(include_url=False)[0], value)
