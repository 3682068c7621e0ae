"""The documented keys of a training: their defaults, what they may be, and what a slip meant."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MaxLen, MinLen
from pydantic import BaseModel, Field, field_validator

from delineate.config.faults import validated
from delineate.config.kinds import Count, FilePath, Number, Positive, Share, Switch, Whole
from delineate.config.places import Key
from delineate.config.schema import Section
from delineate.config.words import Words, join, spell
from delineate.systems.checked import thaw

__all__ = ["Settings", "read_settings"]

Weight = Annotated[Number, Ge(0)]
Truth = Annotated[Switch, Words("True or False")]
Size = Annotated[
    tuple[Count, ...], MinLen(3), MaxLen(3), Words("a list of three whole numbers above 0")
]


class Model(Section):
    """`model.`"""

    in_channels: Count = 1
    """Channels of an image."""
    presence_threshold: Annotated[Number, Ge(0), Lt(1)] = 0.5
    """A structure that is less probable than this is in no mask."""


class Training(Section):
    """`training.`"""

    batch_size: Count = 4
    """Samples that go through the network together."""
    image_size: Size | None = None
    """Voxels that every image is resampled to; None leaves them as they are."""
    learning_rate: Positive = 5e-4
    """The rate after the warm-up."""
    num_epochs: Count = 100
    """Every training sample is seen once in each."""
    early_stopping_patience: Count = 20
    """Epochs without a lower validation loss that end the training."""
    gradient_clip_norm: Weight = 0.5
    """The norm that gradients are cut to; 0 turns it off."""
    num_workers: Whole = 2
    """Processes that read samples."""
    warmup_epochs: Whole = 5
    """Epochs over which the rate rises from 0."""
    gradient_accumulation_steps: Count = 2
    """Batches whose gradients are averaged before the optimiser moves."""
    memory_cleanup_frequency: Whole = 5
    """Batches between two clean-ups of memory; 0 turns them off."""
    validate_every_n_epochs: Count = 2
    """Epochs between two validations, which are spread evenly and end with the training."""
    max_history_length: Count = 50
    """Losses that a checkpoint keeps."""


class LossWeights(Section):
    """`loss_weights.`: 0 leaves a term out."""

    segmentation: Weight = 1.0
    dice: Weight = 2.0
    focal_seg: Weight = 1.0
    absence: Weight = 1.0
    attention_supervision: Weight = 0.5
    false_positive_suppression: Weight = 0.5
    confidence: Weight = 0.1


class Augmentation(Section):
    """`augmentation.`"""

    enabled: Truth = True
    """Whether training samples are changed at random."""
    noise_std: Weight = 2.0
    """Deviation of the noise, where an image has values from 0 to 255."""
    intensity_scale_range: Annotated[
        tuple[Positive, ...],
        MinLen(2),
        MaxLen(2),
        Words("a list of two numbers above 0, the lower one first"),
    ] = (0.95, 1.05)
    """Lowest and highest factor on the values of an image."""
    rotation_degrees: Annotated[Number, Ge(0)] = 5.0
    """The largest turn about each axis, either way."""
    flip_probability: Share = 0.3
    """How often an image is mirrored."""

    @field_validator("intensity_scale_range")
    @classmethod
    def _lower_first(cls, limits: tuple[float, ...]) -> tuple[float, ...]:
        if limits[0] > limits[1]:
            raise ValueError(f"wants the lower number first, got {spell(limits)}.")
        return limits


class Optimizer(Section):
    """`optimizer.`"""

    type: Literal["adamw", "adam"] = "adamw"
    """Which one; both know weight_decay."""
    weight_decay: Weight = 1e-4
    """How strongly kernels are drawn to zero."""
    lr_scheduler: Literal["cosine_annealing", "reduce_on_plateau", "none"] = "cosine_annealing"
    """How the rate falls after the warm-up."""
    lr_min: Weight = 1e-6
    """The lowest rate."""
    lr_restart_period: Count = 20
    """Epochs in which cosine_annealing goes down once, rounded to divide the training evenly."""
    lr_factor: Annotated[Positive, Lt(1)] = 0.5
    """What reduce_on_plateau multiplies the rate by."""
    lr_patience: Count = 10
    """Epochs without a lower validation loss before it does."""


class Checkpoint(Section):
    """`checkpoint.`"""

    save_dir: FilePath = Path("checkpoints")
    """Where best_model.pth, the periodic checkpoints and the run folder go."""
    save_frequency: Count = 10
    """Epochs between two periodic checkpoints."""
    keep_best_only: Truth = False
    """Whether there are no periodic checkpoints."""


class Logging(Section):
    """`logging.`"""

    log_frequency: Count = 1
    """Batches between two lines of figures."""
    visualize_predictions: Truth = True
    """Whether each validation draws its predictions."""
    num_visualization_samples: Count = 3
    """How many validation samples it draws."""


class Settings(Section):
    """Everything that can be said after `with`."""

    dataset_path: FilePath = Path("synthetic_medical_dataset_hdf5")
    """The folder with metadata.json, train.h5 and val.h5."""
    model: Model = Model()
    training: Training = Training()
    loss_weights: LossWeights = LossWeights()
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    checkpoint: Checkpoint = Checkpoint()
    logging: Logging = Logging()
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to train."""
    seed: Annotated[Whole, Field(lt=2**32)] = 42
    """Fixes the weights at the start and every random draw."""
    resume: FilePath | None = None
    """A checkpoint (.pth) to go on from."""

    def plain(self) -> dict[str, Any]:
        """Nested dicts, lists, numbers and texts; `read_settings` reads the same from them."""
        return self.model_dump(mode="json")


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Partial, nested values over the defaults; all that is wrong with them is one ConfigError."""
    plain = thaw(values)  # Sacred hands out containers of its own, which cannot be changed
    return validated(Settings, plain, {}, unknown=_meant)


def _meant(key: Key, _: type[BaseModel]) -> str:
    """Near names of the same section first, then of all."""
    path = tuple(map(str, key))
    name, known = ".".join(path), list(_keys(Settings))
    siblings = [key for key in known if key.split(".")[:-1] == list(path[:-1])]
    by_last = {key.rpartition(".")[2]: key for key in reversed(known)}
    near = [
        *get_close_matches(name, siblings, n=1, cutoff=0.75),
        *(by_last[last] for last in get_close_matches(path[-1], by_last, n=1, cutoff=0.75)),
        *get_close_matches(name, known, n=1),
    ]
    return f" Did you mean '{near[0]}'?" if near else f" There are: {join(siblings, 'and')}."


def _keys(section: type[BaseModel], above: str = "") -> Iterable[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        yield above + name
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{above}{name}.")
