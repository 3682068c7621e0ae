"""The documented keys of a training: their defaults and what they may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MaxLen, MinLen
from pydantic import Field

from delineate.config.kinds import Count, Number, Positive, Share, Switch, Whole
from delineate.config.words import Words
from delineate.errors import ConfigError
from delineate.systems.checked import Checked, PathText, plain

__all__ = ["Size", "TrainingConfig", "checked", "plain"]

Weight = Annotated[Number, Ge(0)]
Truth = Annotated[Switch, Words("True or False")]
Seed = Annotated[Whole, Field(lt=2**32)]
Size = Annotated[
    tuple[Annotated[Count, Ge(16)], ...],
    MinLen(3),
    MaxLen(3),
    Words("three whole numbers of at least 16"),
]


@dataclass(kw_only=True)
class TrainingConfig(Checked):
    """What a training is asked to do; what does not fit is a ConfigError that says so."""

    input_channels: Count = 1
    """Of the scans; those of the morphogens come on top."""
    num_classes: Annotated[int, Ge(2)] | None = 6
    """Background included: the remap of the schema for so many classes, or None for all labels."""
    patch_size: Size = (64, 64, 64)
    """Voxels of a training sample, and of the windows that look at whole volumes."""
    embed_dim: Count = 768
    """Channels of a token."""
    vit_layers: Whole = 8
    gnn_layers: Count = 3
    """How often neighbouring nuclei exchange messages."""
    num_heads: Count = 8
    mlp_dim: Count = 2048
    """Channels inside of each layer's perceptron: 63 million weights with graph="raster"."""
    graph: Literal["nuclei", "raster", "none"] = "nuclei"
    """Nodes for the nuclei of the schema, the documented boxes and head, or no graph."""
    token_size: Annotated[Literal[2, 4, 8, 16, 32], Words("2, 4, 8, 16 or 32")] = 16
    """Voxels of a token along each axis."""
    head_width: Count = 16
    """Channels of the head at full resolution; raster has its own."""
    morphogen: Literal["none", "channels"] = "none"
    """channels: three gradients (AP, DV, ML) are further input channels."""

    batch_size: Count = 4
    """Samples of a step; they go through the network in parts where memory asks for it."""
    learning_rate: Positive = 1e-4
    num_epochs: Count = 100
    samples_per_volume: Count = 50
    """Patches of each training subject in an epoch."""
    weight_decay: Weight = 1e-5
    warmup_epochs: Whole = 10
    """Epochs over which the rate rises from 0, at most half of all."""
    gradient_clip: Weight = 1.0
    """The norm that gradients are cut to; 0 turns it off."""

    elastic_prob: Share = 0.8
    noise_prob: Share = 0.6
    cutmix_prob: Share = 0.4
    morphogen_aware: Truth = True
    """Whether samples bend less where the morphogens are strong."""

    focal_alpha: Annotated[Number, Gt(0), Lt(1)] = 0.25
    focal_gamma: Weight = 2.0
    hierarchy_weight: Weight = 0.3
    boundary_weight: Weight = 0.2
    dice_weight: Weight = 0.0
    """Of a Dice term beside the documented ones; 1 learns small nuclei much sooner."""

    validation_share: Annotated[Number, Gt(0), Lt(1)] = 0.2
    """Of the subjects, or of one volume's labelled voxels, at least this is held out."""
    min_foreground: Whole = 100
    """Labelled voxels that a patch of BrainstemDataset has at least."""
    val_interval: Count = 5
    """Epochs between two validations, which are spread evenly and end with the training."""
    save_interval: Count = 10
    """Epochs between two checkpoints."""
    early_stopping_patience: Count = 20
    """Epochs without a better Dice that end the training."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    num_workers: Whole = 4
    """Processes that read samples; never more than there are processors."""
    mixed_precision: Truth = True
    """bf16 or fp16 where the device is made for it."""
    gradient_checkpointing: Truth | None = None
    """Recompute activations in the backward pass; None does where memory asks for it."""
    memory_gb: Positive | None = None
    """GB that a step may take; None is what the device has."""
    seed: Seed = 42
    """Fixes the weights at the start and every random draw."""
    resume: PathText | None = None
    """A checkpoint_epoch_XXX.pth to go on from."""

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        if self.embed_dim % self.num_heads:
            yield (
                f"{self.num_heads} heads cannot share embed_dim {self.embed_dim}. "
                "Fix: num_heads that divide embed_dim."
            )

    @property
    def channels(self) -> int:
        """Of what the network sees."""
        return self.input_channels + (3 if self.morphogen == "channels" else 0)


def checked(config: object) -> TrainingConfig:
    """The settings, if they are some and go together: they may have been changed one by one."""
    if not isinstance(config, TrainingConfig):
        raise ConfigError(f"config is a {type(config).__name__}. Fix: a TrainingConfig.")
    config.check()
    return config
