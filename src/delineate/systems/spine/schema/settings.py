"""The sections of an experiment, each key with what it may be and its default."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, Field, model_validator

from delineate.systems.spine.schema.entries import (
    Logger,
    Metric,
    Named,
    Params,
    Section,
    Step,
    with_params,
)

__all__ = [
    "Data",
    "Directory",
    "Experiment",
    "Loader",
    "Logger",
    "Metric",
    "Model",
    "Named",
    "Rate",
    "Source",
    "Step",
    "Trainer",
]

Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
Weight = Annotated[float, Ge(0)]
Activation = Literal["softmax", "sigmoid", "identity"]
_ACTIVATIONS = {"none": "identity", "linear": "identity"}
_PRECISIONS = {
    "16": "16-mixed",
    "fp16": "16-mixed",
    "bf16": "bf16-mixed",
    "32": "32-true",
    "fp32": "32-true",
    "64": "64-true",
}


def _one_or_more(value: Any) -> Any:
    """A list where a single entry stands, and an empty one for null."""
    if value is None:
        return ()
    return [value] if isinstance(value, str | Mapping) else value


def _activation(value: Any) -> Any:
    said = str(value).lower()
    return _ACTIVATIONS.get(said, said)


def _class_weights(value: Any) -> Any:
    """Weights by the number of the class as a list, true as balanced."""
    if isinstance(value, Mapping):
        return [value[key] for key in sorted(value, key=lambda key: int(str(key)))]
    return {True: "balanced", False: None}[value] if isinstance(value, bool) else value


Entries = Annotated[tuple[Named, ...], BeforeValidator(_one_or_more)]
Steps = Annotated[tuple[Step, ...], BeforeValidator(_one_or_more)]


class Directory(Section):
    """Where things lie."""

    log: Path = Path("logs")
    weights: Path = Path("weights")
    """Where `pretrained` is looked for."""
    data: Path = Path("data")
    """Where the paths of the sources begin."""
    model: Path | None = None
    """Whose *.py are networks, losses and steps of one's own."""


class Model(Section):
    """The network; what it is built of depends on its name."""

    name: str
    params: Params = Field(default_factory=dict)
    """All other keys: in_channels, depth, features, pretrained and so on."""
    loss: Named
    last_activation: Annotated[Activation, BeforeValidator(_activation)] = "softmax"
    """What makes probabilities of the network's values, before figures and postprocessing."""
    class_weight: Annotated[
        tuple[Weight, ...] | Literal["balanced"] | None, BeforeValidator(_class_weights)
    ] = None
    """What each class counts in the loss; balanced by how seldom it is in the training data."""
    resume_ckpt: dict[str, Any] | str | None = None
    """A checkpoint that the weights come from: a path, or {registry, run_name, file_name}."""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("last_activation", "") is None:
            value = {**value, "last_activation": "identity"}  # as out_activation: null
        return with_params(cls, value)


class Source(Section):
    """A folder of slices, and how they are found and read."""

    path: str
    driver: str = "pillow"
    crawler: Named
    pipeline: Entries = ()


class Data(Section):
    """Sources, and what is done to a sample, a batch and a prediction, in this order."""

    dataset: dict[str, Source]
    preprocess: Steps = ()
    batch_preprocess: Steps = ()
    postprocess: Steps = ()
    cache: bool = True
    """Whether decoded slices are kept beside the logs, for the second epoch on."""


class Rate(Section):
    """The learning rate, and what becomes of it."""

    init_value: Positive = 1e-3
    scheduler: Named | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_number(cls, value: Any) -> Any:
        return {"init_value": value} if isinstance(value, int | float | str) else value


class Loader(Section):
    """How batches are made."""

    batch_size: Count = 1
    num_workers: Whole = 0
    pin_memory: bool = False
    persistent_workers: bool = False
    prefetch_factor: Count | None = None
    drop_last: bool = False
    """Whether a last training batch that is not full is left out."""


class Trainer(Section):
    """How long, on what and how fast."""

    name: Literal["pytorch_lightning", "lightning"] = "pytorch_lightning"
    epochs: Count
    log_every: Count = 1
    """Steps between two entries of the log."""
    val_every: Count = 1
    """Epochs between two validations."""
    gpus: Annotated[int, Ge(-1)] | tuple[Whole, ...] = 0
    """How many cards, -1 all, or which ones; 0 is the processor."""
    precision: Annotated[
        Literal["16-mixed", "bf16-mixed", "16-true", "bf16-true", "32-true", "64-true"],
        BeforeValidator(lambda said: _PRECISIONS.get(str(said), said)),
    ] = "32-true"
    lr: Rate = Rate()
    optimizer: Named = Named(name="Adam")
    loader: Loader = Loader()
    sampler: Named | None = None
    callbacks: Entries = ()
    accumulate_grad_batches: Count = 1
    gradient_clip_val: Positive | None = None
    gradient_checkpointing: bool = False
    """Less memory for more time."""
    params: Params = Field(default_factory=dict)
    """Further arguments of Lightning's Trainer."""


class Experiment(Section):
    """Everything that a training is asked to do."""

    project_name: str
    experiment_name: str
    """The stem of the file."""
    seed: Whole = 420
    directory: Directory = Directory()
    model: Model
    data: Data
    trainer: Trainer
    metric: Annotated[tuple[Metric, ...], BeforeValidator(_one_or_more)] = ()
    logger: Annotated[tuple[Logger, ...], BeforeValidator(_one_or_more)] = ()
    path: Path
    """The file that says so."""

    def as_plain(self) -> dict[str, Any]:
        """Lists, dicts, texts and numbers, which `Experiment.model_validate` takes back."""
        return _plain(self.model_dump())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
