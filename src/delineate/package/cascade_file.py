"""cascade.yaml: the stages of a cascade, each with its model, as a person writes them.

stages:
  - name: liver
    model: runs/liver          # a run folder or a package, from the folder of this file
    does: focus
    structure: liver
    margin_mm: 20
  - name: tumour
    model: tumour.zip
    does: segment
    answer: {tumour: 2}
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, ConfigDict, ValidationError

from delineate.config.places import Key, Mistake, Place, dotted, find_place, refuse
from delineate.config.words import describe, did_you_mean, join, spell
from delineate.config.yaml_text import Reading, read_yaml
from delineate.errors import ConfigError, DataError
from delineate.inference.cascade import (
    Cascade,
    Focus,
    Gate,
    Given,
    PresenceGate,
    Segment,
    Stage,
)
from delineate.inference.model import Model

__all__ = ["ReadModel", "StageText", "build_cascade", "parse_cascade"]

ReadModel = Callable[[str], Model]
"""The model that a stage names."""

_Text = Annotated[str, MinLen(1)]
_NotNegative = Annotated[float, Ge(0)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    stage: _Text
    what: Literal["mask", "classes", "probabilities"] = "classes"


class StageText(BaseModel):
    """One stage as it is written; what it does decides which further keys it may have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: _Text
    model: _Text
    does: Literal["gate", "presence_gate", "focus", "segment"]
    given: _Given | None = None
    answer: dict[str, int] | None = None


class _GateText(StageText):
    structure: str | None = None
    least_mm3: _NotNegative = 0.0


class _PresenceGateText(StageText):
    structure: str
    probability: Annotated[float, Ge(0), Le(1)] = 0.5


class _FocusText(StageText):
    structure: str | None = None
    margin_mm: _NotNegative = 20.0
    least_mm3: _NotNegative = 0.0
    otherwise: Literal["whole", "background"] = "whole"


_KINDS: dict[str, tuple[type[StageText], type]] = {
    "gate": (_GateText, Gate),
    "presence_gate": (_PresenceGateText, PresenceGate),
    "focus": (_FocusText, Focus),
    "segment": (StageText, Segment),
}


def parse_cascade(text: str, source: str) -> tuple[StageText, ...]:
    """The stages of a YAML or JSON text; all mistakes are one ConfigError, with their lines.

    Args:
        source: What messages call the text.
    """
    reading = read_yaml(text, lambda line: Place(source, line))
    reading.places[()] = Place(source)
    refuse(reading.mistakes)
    data = reading.data
    entries = data.get("stages") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries or set(data) != {"stages"}:
        raise ConfigError(
            f"{source}: a cascade is a list of stages, got {spell(data)}. "
            "Fix: write `stages:`, and below it one entry with name, model and does for each."
        )
    found = [_parse_stage(entry, ("stages", i), reading) for i, entry in enumerate(entries)]
    refuse(reading.mistakes)
    return tuple(stage for stage in found if stage is not None)


def build_cascade(texts: tuple[StageText, ...], read: ReadModel, source: str) -> Cascade:
    """The cascade of these stages; what does not fit together is a ConfigError."""
    try:
        return Cascade(stages=tuple(_stage(text, read(text.model)) for text in texts))
    except ValueError as error:
        raise ConfigError(f"{source}: {error}.") from None
    except DataError as error:
        raise type(error)(f"{source}: {error}") from None


def _stage(text: StageText, model: Model) -> Stage:
    shared = set(StageText.model_fields)
    own = {key: value for key, value in text.model_dump().items() if key not in shared}
    return Stage(
        name=text.name,
        model=model,
        does=_KINDS[text.does][1](**own),
        given=None if text.given is None else Given(stage=text.given.stage, what=text.given.what),
        answer=text.answer,
    )


def _parse_stage(entry: Any, key: Key, reading: Reading) -> StageText | None:
    """One stage, or None and what is wrong with it among the mistakes."""
    does = entry.get("does") if isinstance(entry, Mapping) else None
    kind = _KINDS[does][0] if isinstance(does, str) and does in _KINDS else StageText
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            where = (*key, *detail["loc"])
            text = _say(detail["type"], detail["loc"], kind, detail["input"], where)
            reading.mistakes.append(Mistake(where, find_place(where, reading.places), text))
    return None


def _say(fault: str, loc: Key, kind: type[BaseModel], got: Any, where: Key) -> str:
    """What is wrong with a value, in the words of the other messages."""
    fields = dict(kind.model_fields)
    if loc and loc[0] == "given" and len(loc) > 1:
        fields, loc = dict(_Given.model_fields), loc[1:]
    name = str(loc[0]) if loc else ""
    if fault == "extra_forbidden":
        near = did_you_mean(name, fields) or f" There are: {join(list(fields), 'and')}."
        return f"unknown key '{dotted(where)}'.{near}"
    if fault == "missing":
        return f"missing key '{dotted(where)}'. Fix: add it."
    if name not in fields:
        return f"{dotted(where)} wants a section of keys, got {spell(got)}."
    if name == "answer" and len(loc) > 1:
        return f"{dotted(where)} wants {describe(int)}, got {spell(got)}."
    field = fields[name]
    wanted = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return f"{dotted(where)} wants {describe(wanted)}, got {spell(got)}."
