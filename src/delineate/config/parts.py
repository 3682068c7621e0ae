"""What sections are made of: strict keys, swappable parts, and the parts with keys of their own."""

from typing import Annotated, Any

from annotated_types import Ge
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from delineate.config.kinds import Name, Number, Plain, Positive, Share
from delineate.config.words import Words

__all__ = ["LossTerm", "Optimizer", "Part", "Ramp", "Section"]


class Section(BaseModel):
    """A group of keys: unknown ones are refused, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    @model_validator(mode="before")
    @classmethod
    def _empty_means_defaults(cls, value: Any) -> Any:
        """A section whose keys are all commented out reads as null."""
        return {} if value is None else value


class Part(Section):
    """A swappable part: its name in its own package or import path, and its arguments beside it."""

    model_config = ConfigDict(extra="allow")
    # pydantic takes the type of the free arguments from here, and no narrower way to say it.
    __pydantic_extra__: dict[str, Plain] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    name: Name
    """A bare name of the part's own package, or an import path such as `my_lab.nets.TinyUNet`."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor is given."""
        return dict(self.model_extra or {})


class Ramp(Section):
    """A number that moves in a straight line over part of the run."""

    start: Annotated[Number, Ge(0)]
    """The value until `begin`."""
    end: Annotated[Number, Ge(0)]
    """The value from `finish` on."""
    begin: Share = 0.0
    """The share of the run after which it starts to move."""
    finish: Share = 1.0
    """The share of the run after which it has arrived."""

    @field_validator("finish")
    @classmethod
    def _finish_comes_last(cls, finish: float, info: ValidationInfo) -> float:
        begin = info.data.get("begin", 0.0)
        if finish < begin:
            raise ValueError(f"wants a share of at least begin ({begin:g}), got {finish:g}.")
        return finish


class LossTerm(Part):
    """One term of the loss, from `delineate.losses` or an import path, with its weight."""

    weight: Annotated[
        Annotated[Number, Ge(0)] | Ramp,
        Words(
            "a number of at least 0, or a ramp such as {start: 0.1, end: 1}, begin before finish"
        ),
    ] = 1.0
    """The factor of this term in the sum that is trained, or how it moves over the run."""


class Optimizer(Part):
    """An optimiser, from `torch.optim` or an import path, and its arguments."""

    name: Name = "AdamW"
    """A name of `torch.optim`, or an import path."""
    lr: Positive = 1e-3
    """The highest learning rate; the schedule scales it."""
    weight_decay: Annotated[Number, Ge(0)] | None = 0.01
    """How strongly kernels are drawn to zero, biases never; null where the optimiser has none."""
    rates: dict[str, Annotated[Number, Ge(0)]] = {}
    """Factors on the rate by the start of a weight's name, such as {encoder: 0.1}; the longest
    start that fits counts."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor is given besides the weights."""
        decay = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        return {"lr": self.lr} | decay | super().arguments
