"""The documented keys of a configuration, section by section, and what they may be.

A null leaves the matter to the recipe `stroke`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from delineate.config.faults import nearest, validated
from delineate.config.places import Place
from delineate.config.words import Words
from delineate.models.hybrid import STAGES

__all__ = ["STAGE_NAMES", "Settings", "StageWish", "parse_settings"]

STAGE_NAMES = tuple(STAGES)
LAST = STAGE_NAMES[-1]

Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Weight = Annotated[float, Ge(0)]
Pair = Annotated[tuple[float, float], Words("a list of two numbers")]
"""The least and the most."""


def _without_channel(value: Any) -> Any:
    """TensorFlow's shapes end in the channel."""
    if isinstance(value, list | tuple) and len(value) == 4:
        return value[:3]
    return value


Shape = Annotated[
    tuple[Count, ...],
    BeforeValidator(_without_channel),
    MinLen(3),
    MaxLen(3),
    Words("a list of three whole numbers of at least 1"),
]


class Section(BaseModel):
    """Keys that are known; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """The network of the last stage; no stage before it is larger."""

    input_shape: Shape | None = None
    """Voxels of a training sample along the scan's axes, at the scan's own resolution."""
    base_filters: Annotated[int, Ge(8)] | None = None
    depth: Count | None = None
    use_attention: bool | None = None
    use_transformer: bool | None = None
    transformer_depth: Count | None = None
    num_heads: Count | None = None
    """Read, and without effect: a head has a fixed width here, so that networks can grow."""
    use_deep_supervision: bool = True
    dropout: Annotated[float, Ge(0), Lt(1)] | None = None
    num_classes: Literal[1] = 1
    """Sigmoid channels in the origin: the lesion."""
    memory_efficient: bool | None = None
    """Recompute features in the backward pass."""

    @field_validator("base_filters")
    @classmethod
    def _in_groups(cls, filters: int | None) -> int | None:
        if filters is not None and filters % 8:
            raise ValueError(f"wants a multiple of 8, the width of a group, got {filters}.")
        return filters


class Schedule(Section):
    """The rate over the epochs of a stage."""

    type: Literal["cosine_decay", "reduce_on_plateau", "polynomial_decay", "constant"]
    warmup_epochs: Weight = 0
    decay_steps: Positive = 100
    """Epochs that `warmup_epochs` is a share of; the fall takes the whole stage."""
    alpha: Share = 0.0
    """Where a cosine ends, as a share of the rate."""
    factor: Annotated[float, Gt(0), Lt(1)] = 0.5
    patience: Count = 8
    min_lr: Weight = 1e-7
    end_learning_rate: Weight = 0.0
    power: Positive = 0.9


class Training(Section):
    """How long, and how fast."""

    epochs: Count | None = None
    """Of the last stage, and of a training without stages."""
    batch_size: Count | None = None
    batch_size_per_gpu: Count | None = None
    global_batch_size: Count | None = None
    """Read, and without effect: one card trains."""
    learning_rate: Positive | None = None
    validation_split: Annotated[float, Gt(0), Le(0.5)] = 0.2
    patience: Count | None = None
    """Epochs without a better Dice after which a stage ends."""
    seed: Annotated[int, Ge(0)] = 42
    lr_schedule: Schedule | None = None
    mixed_precision: bool | None = None
    gradient_checkpointing: bool | None = None
    augmentation_prob: Share | None = None
    use_tensorboard: bool = True


class Loss(Section):
    """Weights of the terms, by the size of the lesions."""

    dice_weight: Weight = 0.5
    focal_weight: Weight = 0.3
    boundary_weight: Weight = 0.2
    focal_gamma: Weight = 2.0
    focal_alpha: Annotated[float, Gt(0), Lt(1)] = 0.25


class Data(Section):
    """Where the scans are."""

    data_dir: Path = Path("Atlas_2")
    cache_dir: Path | None = None
    num_workers: Annotated[int, Ge(0)] | None = None
    voxel_size: Any = None
    """Read, and without effect: the scans say it."""
    prefetch: Any = None
    """Read, and without effect: readers are always ahead."""
    group: Literal["site", "subject"] = "site"
    """What is never on both sides of the split; sites only where the names of all scans tell."""


class Augmentation(Section):
    """How often and how much samples are changed."""

    spatial_prob: Share = 0.8
    intensity_prob: Share = 0.7
    noise_prob: Share = 0.3
    elastic_prob: Share = 0.4
    rotation_range: Pair = (-15, 15)
    """Degrees."""
    scale_range: Pair = (0.85, 1.15)
    translation_range: Pair = (-10, 10)
    """Read, and without effect: a patch lies anywhere in the scan anyway."""
    elastic_deformation: Share = 0.2
    brightness: Pair = (-0.1, 0.1)
    contrast: Pair = (0.9, 1.1)
    gamma: Pair = (0.8, 1.2)
    noise_std: Weight = 0.05


class Hardware(Section):
    """The machine."""

    use_mixed_precision: bool | None = None
    gradient_checkpointing: bool | None = None
    use_multi_gpu: bool = False
    gpu_memory_limit: Positive | None = None
    """GB that a step may take."""
    num_workers: Annotated[int, Ge(0)] | None = None
    prefetch_factor: Any = None
    device: Literal["auto", "cpu", "cuda"] = "auto"


class StageWish(Section):
    """What of a stage is not as documented."""

    input_shape: Shape | None = None
    batch_size: Count | None = None
    epochs: Count | None = None


class Settings(Section):
    """All documented sections."""

    model: Model = Model()
    training: Training = Training()
    loss: Loss | None = None
    data: Data = Data()
    augmentation: Augmentation | None = None
    hardware: Hardware = Hardware()
    stages: dict[str, StageWish] = {}  # pydantic copies it
    meta: dict[str, Any] = {}
    """Who made the file, and what for: read, and without effect."""

    @field_validator("stages")
    @classmethod
    def _known(cls, stages: dict[str, StageWish]) -> dict[str, StageWish]:
        for name in stages:
            if name not in STAGE_NAMES:
                raise ValueError(f"has no stage '{name}'.{nearest(name, STAGE_NAMES)}")
        return stages

    def stage(self, name: str) -> StageWish:
        """What is wished of it; nothing where it is not mentioned."""
        return self.stages.get(name, StageWish())


def parse_settings(values: Mapping[str, Any], source: str) -> Settings:
    """Settings of what a file says; all mistakes are one ConfigError.

    Args:
        source: What messages call it.
    """
    said = {key: value for key, value in values.items() if value is not None}
    return validated(Settings, said, {(): Place(source)})
