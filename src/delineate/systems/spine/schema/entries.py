"""What a YAML file names: `name` with `params`, however the two are written."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

__all__ = [
    "PHASES",
    "Logger",
    "Metric",
    "Named",
    "Params",
    "Phase",
    "Section",
    "Step",
    "Target",
    "numbers",
]

Target = Literal["data", "label", "prediction"]
Phase = Literal["train", "val", "test"]
PHASES: tuple[Phase, ...] = ("train", "val", "test")
_OTHER_PHASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def numbers(value: Any) -> Any:
    """The same with '1e-3' as a number, at any depth: YAML 1.1 reads it as text."""
    if isinstance(value, Mapping):
        return {key: numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [numbers(inner) for inner in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value


def _some(value: Any) -> Any:
    return {} if value is None else value


def _listed(value: Any) -> Any:
    """One entry where a list is wanted; the names of phases in full are understood."""
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list | tuple):
        return [_OTHER_PHASES.get(v, v) if isinstance(v, str) else v for v in values]
    return values


Params = Annotated[dict[str, Any], BeforeValidator(_some), AfterValidator(numbers)]
Targets = Annotated[tuple[Target, ...], BeforeValidator(_listed)]
Phases = Annotated[tuple[Phase, ...], BeforeValidator(_listed)]


class Section(BaseModel):
    """Keys that are known; a null is a key that is not said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nulls_unsaid(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: inner for key, inner in value.items() if inner is not None}


class Named(Section):
    """A part by its name, with its arguments; those that stand beside the name count too."""

    name: str
    params: Params = {}

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            return value
        inner = value.get("params")
        if inner is not None and not isinstance(inner, Mapping):
            return value  # refused as what it is
        beside = {key: said for key, said in value.items() if key not in cls.model_fields}
        kept = {key: said for key, said in value.items() if key in cls.model_fields}
        twice = beside.keys() & (inner or {}).keys()
        if twice:
            raise ValueError(f"says '{min(twice)}' twice: beside the name and in params.")
        return {**kept, "params": {**(inner or {}), **beside}}


class Step(Named):
    """A step of a pipeline: on what of a sample it works, and in which phases."""

    target: Targets = ()
    """Empty leaves it to the step itself."""
    phase: Phases = PHASES


class Metric(Named):
    """A figure, by the library and the name it has there: torchmetrics.X or sklearn.X."""

    alias: str | None = None
    on_bar: bool = False
    phase: Phases = PHASES

    @property
    def label(self) -> str:
        """What it is logged as, behind the phase."""
        return self.alias or self.name.rpartition(".")[2]


class Logger(Named):
    """Where figures go besides the files of the run: wandb, mlflow, tensorboard, csv."""


def with_params(cls: type[Section], value: Any) -> Any:
    """What stands in `params` beside the other keys; keys of the section itself keep their place.

    Args:
        cls: The section, with a field `params` for all keys it does not know.
    """
    if not isinstance(value, Mapping):
        return value
    inner = value.get("params")
    flat = {key: said for key, said in value.items() if key != "params"}
    if isinstance(inner, Mapping):
        flat = {**inner, **flat}
    elif inner is not None:
        return value
    kept = {key: said for key, said in flat.items() if key in cls.model_fields}
    return {**kept, "params": {key: said for key, said in flat.items() if key not in kept}}
