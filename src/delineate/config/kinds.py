"""The kinds of values that a configuration holds, each with the words for a message about it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BeforeValidator,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
)

from delineate.config.budget import BUDGET_WORDS, PATTERN, Budget
from delineate.config.words import Words, spell

__all__ = [
    "BudgetText",
    "Changes",
    "Count",
    "Dims",
    "FilePath",
    "Name",
    "Number",
    "Patch",
    "Plain",
    "Positive",
    "Share",
    "Spacing",
    "StageName",
    "Switch",
    "Whole",
]


def _expand_home(path: Path) -> Path:
    """A shell leaves the ~ of `data.root=~/scans` as it is."""
    try:
        return path.expanduser()
    except RuntimeError:  # ~name of nobody
        return path


Count = Annotated[int, Strict(), Ge(1)]
Whole = Annotated[int, Strict(), Ge(0)]
Number = Annotated[float, Strict(), AllowInfNan(False)]
Positive = Annotated[Number, Gt(0)]
Share = Annotated[Number, Ge(0), Le(1)]
Switch = Annotated[bool, Strict()]
Dims = Literal[2, 3]
Name = Annotated[str, MinLen(1)]
FilePath = Annotated[Path, AfterValidator(_expand_home)]
Spacing = Annotated[
    tuple[Positive, ...], MinLen(2), MaxLen(3), Words("a list of 2 or 3 numbers above 0")
]
Patch = Annotated[
    tuple[Count, ...], MinLen(2), MaxLen(3), Words("a list of 2 or 3 whole numbers of at least 1")
]


def _to_budget(value: Any) -> Budget:
    if isinstance(value, Budget):
        return value
    if isinstance(value, str):
        return Budget.parse(value)
    raise ValueError(f"wants {BUDGET_WORDS}, got {spell(value)}.")


BudgetText = Annotated[
    Budget,
    PlainValidator(_to_budget),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"}),
    Words(BUDGET_WORDS),
]


def _plain(value: Any) -> Any:
    """YAML values only, lists as tuples, so that a configuration can be saved and cannot change."""
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"is a {type(value).__name__}; a configuration holds only plain values.")


Plain = Annotated[Any, AfterValidator(_plain)]


def _none_said(value: Any) -> Any:
    """A section whose keys are all commented out reads as null."""
    return {} if value is None else value


Changes = Annotated[dict[str, Plain], BeforeValidator(_none_said), Words("a section of keys")]


def _stage_name(text: str) -> str:
    """It names a folder inside a run folder, which has folders of its own."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text):
        raise ValueError(f"wants letters, digits, _ and -, got {spell(text)}.")
    if text.lower() in _TAKEN or text.startswith("fold_"):
        raise ValueError(f"is '{text}', which means something else in a run folder.")
    return text


_TAKEN = ("cache", "checkpoints", "panels", "validation")
StageName = Annotated[str, AfterValidator(_stage_name)]
