"""The documented keys of the four steps: what they may be, and their defaults."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, MaxLen, MinLen
from pydantic import BeforeValidator, Field, StringConstraints

from delineate.config.kinds import Count, Name, Number, Patch, Positive, Share, Switch, Whole
from delineate.config.words import Words
from delineate.systems.checked import Checked, PathText, plain
from delineate.systems.liver.settings_files import read_settings

__all__ = [
    "ModelEvaluationConfig",
    "ModelPredictionConfig",
    "ModelTrainingConfig",
    "PreprocessingConfig",
    "plain",
    "read_settings",
]

Weight = Annotated[Number, Ge(0)]
Truth = Annotated[Switch, Words("True or False")]
Params = Annotated[dict[str, Any], Words("a dict of arguments by name")]
Seed = Annotated[Whole, Field(lt=2**32)]
Triple = Annotated[
    tuple[Positive, ...], MinLen(3), MaxLen(3), Words("a list of three numbers above 0")
]
Size = Annotated[
    tuple[Count, ...], MinLen(3), MaxLen(3), Words("a list of three whole numbers above 0")
]
Limits = Annotated[
    tuple[Number, ...], MinLen(2), MaxLen(2), Words("a list of two numbers, the lower one first")
]
Weights = Annotated[
    tuple[Weight, ...], MinLen(2), Words("a list of numbers of at least 0, one per class")
]
Device = Annotated[
    str,
    StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$"),
    Words("auto, cpu, cuda or cuda:NUMBER"),
]
_SHORT = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
Precision = Annotated[
    Literal["16-mixed", "bf16-mixed", "16-true", "bf16-true", "32-true", "64-true"],
    BeforeValidator(lambda value: _SHORT.get(str(value), value)),
]
"""As Lightning calls it; the numbers of old runs (16) are understood."""
Score = Literal["dice", "iou", "bf1", "accuracy"]


@dataclass(kw_only=True)
class ModelTrainingConfig(Checked):
    """What a training is asked to do."""

    model_name: Name = "dformer3d"
    """dformer3d, dformer2d, unet3d, a network of delineate.models or a dotted import path."""
    model_params: Params = field(default_factory=dict)
    """Its arguments; the numbers of channels and classes are given by the keys below."""
    data_dir: PathText = "data_preprocessed"
    """The folder with train, val and test."""
    train_batch_size: Count = 1
    val_batch_size: Count = 1
    num_workers: Whole = 4
    """Processes that read."""
    patch_size: Patch | None = None
    """Voxels that a training sample is cut to, and of the windows that look at whole volumes."""
    input_channels: Count = 1
    num_classes: Count = 14
    """Background included."""
    class_names: tuple[Name, ...] = ()
    """Names of the classes from 1 on, for val_dice/<name>; empty leaves their numbers."""
    target_label: Count | None = None
    """The only structure that is segmented; None segments all."""
    loss: Literal["cross_entropy", "dice_cross_entropy"] = "cross_entropy"
    """dice_cross_entropy adds the soft Dice of the structures, which small ones need."""
    class_weights: Weights | None = None
    """What a voxel of each class counts in the cross-entropy, background first."""
    include_background: Truth = False
    """Whether the figures count the background as a class."""
    tolerance_mm: Weight = 1.0
    """How far a boundary may lie from the true one in bf1; in voxels where no affine is known."""
    max_epochs: Count = 100
    gpus: Whole = 1
    """As many as there are, if there are fewer; 0 is the processor."""
    precision: Precision = "16-mixed"
    seed: Seed = 42
    log_every_n_steps: Count = 10
    checkpoint_dir: PathText = "checkpoints"
    monitor_metric: Name = "val_loss"
    """What the best checkpoint, early stopping and the plateau scheduler look at."""
    monitor_mode: Literal["min", "max"] = "min"
    early_stopping_patience: Count = 30
    """Validations without an improvement that end the training."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    optimizer_params: Params = field(default_factory=dict)
    """Further arguments of it, such as momentum (0.9 where sgd is not told)."""
    learning_rate: Positive = 1e-4
    weight_decay: Weight = 1e-5
    scheduler: Literal["step", "plateau"] | None = None
    scheduler_params: Params = field(default_factory=dict)
    """Arguments of torch's StepLR (step_size 30, gamma 0.1 if not told) or ReduceLROnPlateau."""
    log_dir: PathText = "logs"
    project_name: Name = "ct-segmentation"
    run_name: Name | None = None
    """The folder under log_dir/project_name; None numbers them: version_0, version_1."""
    resume_from_checkpoint: PathText | None = None
    """A checkpoint that fit() goes on from."""
    debug: Truth = False
    """Whether the first batches are described in the log."""

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        yield from _wrong_classes(self.num_classes, self.target_label)
        if self.class_weights is not None and len(self.class_weights) != self.num_classes:
            yield (
                f"class_weights are {len(self.class_weights)} but num_classes is "
                f"{self.num_classes}. Fix: one weight per class, background first."
            )
        if self.class_names and len(self.class_names) != self.num_classes - 1:
            yield (
                f"class_names are {len(self.class_names)} but num_classes is {self.num_classes}. "
                "Fix: one name per class but the background."
            )
        if self.scheduler is None and self.scheduler_params:
            yield "scheduler_params are for a scheduler. Fix: scheduler 'step' or 'plateau'."
        for name, key in {"lr": "learning_rate", "weight_decay": "weight_decay"}.items():
            if name in self.optimizer_params:
                yield f"optimizer_params: {name} is {key} here. Fix: set that key."


@dataclass(kw_only=True)
class PreprocessingConfig(Checked):
    """What is done to scans before any training."""

    target_spacing: Triple = (1.0, 1.0, 1.0)
    """mm."""
    target_size: Size | None = (256, 256, 256)
    """Voxels of every volume, reached without distortion; None keeps each its own."""
    intensity_range: Limits = (-100.0, 400.0)
    """Values (HU) outside of it are set to its ends."""
    normalize_method: Literal["zscore", "minmax", "robust"] = "zscore"
    apply_augmentation: Truth = True
    """Whether training samples are changed at random when they are loaded."""
    rotation_degrees: Weight = 10.0
    """The largest turn about each axis, either way."""
    translation_range: Weight = 10.0
    """The largest shift along each axis, either way, in voxels."""
    elastic_deformation: Truth = False
    train_ratio: Share = 0.7
    val_ratio: Share = 0.2
    test_ratio: Share = 0.1
    seed: Seed = 42
    """Fixes which patients go where, and the augmentation."""
    num_workers: Whole = 4
    """Subjects that are preprocessed at a time."""
    batch_size: Count = 2
    """Of `get_dataloader`, where it is told none."""

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        total = self.train_ratio + self.val_ratio + self.test_ratio
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            yield f"train_ratio, val_ratio and test_ratio sum to {total:g}. Fix: they make 1."
        low, high = self.intensity_range
        if low >= high:
            yield f"intensity_range is {low:g} to {high:g}. Fix: the lower number first."


@dataclass(kw_only=True)
class ModelPredictionConfig(Checked):
    """What is predicted, and how."""

    model_name: Name = "dformer3d"
    model_params: Params = field(default_factory=dict)
    checkpoint_path: PathText = "checkpoints/last.ckpt"
    input_dir: PathText = "data_preprocessed/test"
    output_dir: PathText = "predictions"
    batch_size: Count = 1
    """Windows that go through the network together."""
    num_workers: Whole = 2
    input_channels: Count = 1
    num_classes: Count = 14
    target_label: Count | None = None
    gpus: Whole = 1
    device: Device = "cuda"
    save_probabilities: Truth = False
    save_logits: Truth = False
    debug: Truth = False

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        yield from _wrong_classes(self.num_classes, self.target_label)


@dataclass(kw_only=True)
class ModelEvaluationConfig(Checked):
    """What is compared with the truth, and how."""

    pred_dir: PathText = "predictions"
    gt_dir: PathText = "data_preprocessed/test"
    pred_suffix: Name = "_pred.nii.gz"
    gt_suffix: Name = "_label.nii.gz"
    subject_ids: tuple[Name, ...] | None = None
    """None evaluates all."""
    liver_label: Count = 1
    tumor_label: Count = 2
    background_label: Whole = 0
    num_classes: Count = 3
    metrics: tuple[Score, ...] = ("dice", "iou", "bf1", "accuracy")
    tolerance_mm: Weight = 1.0
    """How far a boundary may lie from the true one in bf1."""
    batch_size: Count = 1
    device: Device = "cpu"
    save_csv: Truth = True
    csv_path: PathText = "evaluation_results.csv"
    print_summary: Truth = True
    debug: Truth = False

    def conflicts(self) -> Iterator[str]:
        """What of these does not go together."""
        ids = (self.background_label, self.liver_label, self.tumor_label)
        if len(set(ids)) < len(ids):
            yield "background_label, liver_label and tumor_label are not three different numbers."


def _wrong_classes(num_classes: int, target_label: int | None) -> Iterator[str]:
    """A network of two outputs may segment any label; one of more has an output for each."""
    if num_classes < 2:
        yield "num_classes is 1. Fix: at least 2, the background is one."
    if target_label is not None and 2 < num_classes <= target_label:
        yield (
            f"target_label is {target_label} but the classes are 0 to {num_classes - 1}. "
            f"Fix: a label of at most {num_classes - 1}, or num_classes 2."
        )
