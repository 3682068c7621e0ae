"""A part's arguments against its constructor's signature: names, presence, stated types."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from delineate.config.words import describe, did_you_mean, join, spell

__all__ = ["fit", "is_ours", "parameters", "wrong_arguments"]

Parameter = inspect.Parameter
NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def is_ours(constructor: Callable[..., Any]) -> bool:
    """Whether a part belongs to this package, so that its annotations can be relied upon."""
    return getattr(constructor, "__module__", "").partition(".")[0] == "delineate"


def parameters(constructor: Callable[..., Any]) -> dict[str, Parameter]:
    """What can be given by name."""
    return {n: p for n, p in _parameters(constructor).items() if p.kind in NAMED}


def wrong_arguments(
    constructor: Callable[..., Any], own: Mapping[str, Any], supplied: Collection[str]
) -> Iterator[tuple[str | None, str]]:
    """Each argument that is wrong, None for one that is missing, and what is wrong with it."""
    known = parameters(constructor)
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in _parameters(constructor).values())
    for name, value in own.items():
        if name in known:
            wanted = known[name].annotation
            if is_ours(constructor) and not _accepts(wanted, value):
                yield name, f"{name} wants {describe(wanted)}, got {spell(value)}."
        elif not takes_any:
            free = [n for n in known if n not in supplied]
            takes = f" It takes: {join(free, 'and')}." if free else " It takes none."
            yield name, f"unknown argument '{name}'.{did_you_mean(name, free)}{takes}"
    for name, parameter in known.items():
        if parameter.default is Parameter.empty and name not in own and name not in supplied:
            yield None, f"missing argument '{name}'."


def fit(constructor: Callable[..., Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with tuples where the signature says tuple, and lists elsewhere, as in YAML."""
    known = _parameters(constructor)
    return {
        name: value if name in known and _says_tuple(known[name].annotation) else _thaw(value)
        for name, value in own.items()
    }


def _parameters(constructor: Callable[..., Any]) -> Mapping[str, Parameter]:
    """Of the whole signature; a constructor written in C that does not tell takes anything."""
    try:
        plain = inspect.signature(constructor).parameters
    except ValueError:
        return {"arguments": Parameter("arguments", Parameter.VAR_KEYWORD)}
    try:
        return inspect.signature(constructor, eval_str=True).parameters
    except Exception:  # an annotation may be any code, and some only a type checker can read
        return plain


def _says_tuple(annotation: Any) -> bool:
    text = str(annotation).lower()
    return "tuple" in text and "list" not in text


def _thaw(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_thaw(v) for v in value]
    if isinstance(value, dict):
        return {k: _thaw(v) for k, v in value.items()}
    return value


def _accepts(annotation: Any, value: Any) -> bool:
    """Whether a plain value fits; what is not made of plain types accepts everything."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _accepts(members[0], value)
    if origin in (Union, UnionType):
        return any(_accepts(m, value) for m in members)
    if origin is Literal:
        return any(value == m and type(value) is type(m) for m in members)
    if origin in (list, tuple, Sequence):
        return isinstance(value, tuple) and _accepts_items(members, value)
    if annotation in (None, NoneType):
        return value is None
    if annotation in (int, float):
        wanted = int | float if annotation is float else int
        return isinstance(value, wanted) and not isinstance(value, bool)
    return isinstance(value, annotation) if annotation in (bool, str) else True


def _accepts_items(members: tuple[Any, ...], value: tuple[Any, ...]) -> bool:
    if len(members) == 1 or members[1:] == (...,):
        return all(_accepts(members[0], v) for v in value)
    return len(members) == len(value) and all(map(_accepts, members, value))
