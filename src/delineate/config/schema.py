"""Every key of a configuration: its type, its default and its meaning in one line.

A person's wishes only; what is worked out from the data and the machine is the plan.
"""
# ruff: noqa: RUF012 # pydantic copies a default that can change

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen
from pydantic import Strict, ValidationInfo, field_validator

from delineate.config.budget import Budget
from delineate.config.kinds import (
    BudgetText,
    Changes,
    Count,
    Dims,
    FilePath,
    Name,
    Number,
    Patch,
    Plain,
    Positive,
    Share,
    Spacing,
    StageName,
    Switch,
    Whole,
)
from delineate.config.parts import LossTerm, Optimizer, Part, Ramp, Section
from delineate.config.places import Places
from delineate.config.words import Words, spell

__all__ = [
    "Config",
    "Data",
    "LossTerm",
    "Optimizer",
    "Part",
    "PlanWishes",
    "Predict",
    "Ramp",
    "Section",
    "Stage",
    "Start",
    "Train",
]


class Data(Section):
    """Where the scans are and which of them are held out."""

    root: FilePath
    """The folder or file of the data set, relative to the working directory."""
    layout: Name = "auto"
    """The data set's layout by name; auto looks at what is there."""
    labels: FilePath | dict[str, Annotated[int, Strict()]] | None = None
    """What the ids in the masks mean: a JSON file or name: id pairs; null takes the data's own."""
    group: Name | None = None
    """A regular expression or a column that tells the patient; null takes the layout's own."""
    folds: Annotated[int, Strict(), Ge(2)] | Literal["nnunet"] | None = 5
    """How many folds to make, nnunet for nnU-Net's own five, null for the data set's own splits."""
    fold: Whole = 0
    """Which fold is held out, counted from 0."""
    cache: FilePath | None = None
    """The folder of prepared cases; null puts `cache` beside the run folder."""

    @field_validator("fold")
    @classmethod
    def _fold_exists(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds")
        count = 5 if folds == "nnunet" else folds
        if count is not None and fold >= count:
            raise ValueError(f"wants one of the {count} folds, 0 to {count - 1}, got {fold}.")
        return fold


class PlanWishes(Section):
    """What the plan must keep to; a null is worked out from the data and the machine."""

    memory_gb: Positive | None = None
    """GB that one training step may use; null takes what the device has."""
    dims: Dims | None = None
    """2 trains on slices, 3 on volumes."""
    spacing: Spacing | None = None
    """mm along each axis that every case is resampled to."""
    patch: Patch | None = None
    """Voxels along each axis of a training sample; 1 on the slice axis of a 2-D network."""
    batch_size: Count | None = None
    """Samples in a training step."""
    width: Count | None = None
    """Features of the network's first stage."""
    nonzero: Switch | None = None
    """Normalise by the voxels that are not zero; null does where an empty border is cut away."""
    file: FilePath | None = None
    """A plan.json to take as it stands, edited or from another run; no other wish goes with it."""

    @field_validator("patch")
    @classmethod
    def _patch_fits(cls, patch: tuple[int, ...] | None, info: ValidationInfo) -> Any:
        if patch is None:
            return None
        spacing, dims = info.data.get("spacing"), info.data.get("dims")
        if spacing is not None and len(spacing) != len(patch):
            raise ValueError(f"has {len(patch)} numbers but plan.spacing has {len(spacing)}.")
        if dims == 3 and len(patch) != 3:
            raise ValueError(f"wants 3 numbers because plan.dims is 3, got {spell(patch)}.")
        if dims == 2 and len(patch) == 3 and patch.count(1) != 1:
            raise ValueError(f"wants a 1 on the slice axis as plan.dims is 2, got {spell(patch)}.")
        return patch

    @field_validator("file")
    @classmethod
    def _file_stands_alone(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        others = [f"plan.{key}" for key, value in info.data.items() if value is not None]
        if file is not None and others:
            raise ValueError(f"fixes the whole plan, so {', '.join(others)} cannot stand with it.")
        return file


class Start(Section):
    """What training begins from."""

    weights: FilePath | None = None
    """A run folder or a file of weights, ours or foreign; null begins at random."""
    freeze: dict[str, Share] = {}
    """The share of the run for which weights whose name starts so do not move: {encoder: 0.3}."""


class Train(Section):
    """How long training runs, on what, and how."""

    budget: BudgetText = Budget(1, "h")
    """When training ends: 90s, 10min, 2h, 500 steps or 100 epochs."""
    seed: Whole = 0
    """Fixes the weights at the start and every random draw."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of a step; auto takes bf16 where the device has it in hardware, else fp32."""
    workers: Whole | Literal["auto"] = "auto"
    """Processes that read samples; 0 reads in the training process."""
    validations: Count = 8
    """How many times the held-out cases are scored during the run, evenly spread."""
    ema: Annotated[Number, Ge(0), Lt(1)] = 0.999
    """Decay of the average of the weights, which is what is scored and kept; 0 turns it off."""
    clip: Annotated[Number, Ge(0)] = 12.0
    """The norm that gradients are cut to; 0 turns it off."""
    accumulate: Count = 1
    """Batches whose gradients are averaged before the optimiser moves."""
    foreground: Share = 0.5
    """The share of samples that are centred on a labelled voxel."""
    rare: Share = 0.0
    """The share of samples whose case is chosen so that rare classes are met as often as others."""
    patience: Count | None = None
    """How many validations without a better Dice make a plateau; null never looks for one."""
    on_plateau: Literal["tail", "stop"] = "tail"
    """What a plateau does: the rate falls to its end early, or training ends at once."""
    checkpoint: BudgetText = Budget(5, "min")
    """How often the whole state is saved, so that a killed run goes on from there."""
    compile: Switch | Literal["auto"] = "auto"
    """Whether torch.compile translates the network; auto does where it pays, on a GPU."""

    @field_validator("precision")
    @classmethod
    def _half_needs_a_gpu(cls, precision: str, info: ValidationInfo) -> str:
        if precision == "fp16" and info.data.get("device") == "cpu":
            raise ValueError("is fp16, which a CPU cannot train in. Fix: take auto, bf16 or fp32.")
        return precision


class Predict(Section):
    """How the trained network walks over a whole scan."""

    overlap: Annotated[Number, Ge(0), Lt(1)] = 0.5
    """The share of a window that it has in common with the next one."""
    flips: Switch = False
    """Average over the mirror images that training showed: slower, a little better."""


class Stage(Section):
    """What one stage of a training changes of the configuration around it."""

    name: StageName
    """The name of its run folder, inside `run_dir`."""
    plan: Changes = {}
    """Keys of `plan`, such as another patch or spacing."""
    model: Changes = {}
    """Arguments of the network, or with `name` another network."""
    loss: Annotated[tuple[Plain, ...], Words("a list of loss terms")] | None = None
    """All terms of the loss; null keeps those around it."""
    augment: Annotated[tuple[Plain, ...], Words("a list of transforms")] | None = None
    """All transforms; null keeps those around it."""
    optimizer: Changes = {}
    """Arguments of the optimiser, such as its rate, or with `name` another one."""
    schedule: Changes = {}
    """Arguments of the schedule, or with `name` another one."""
    start: Changes = {}
    """Keys of `start`; without `weights`, those of the stage before are carried over."""
    train: Changes = {}
    """Keys of `train`, such as the budget."""
    predict: Changes = {}
    """Keys of `predict`."""

    @property
    def changes(self) -> dict[str, Any]:
        """What it says, by section."""
        said = {key: getattr(self, key) for key in type(self).model_fields if key != "name"}
        return {key: value for key, value in said.items() if value not in (None, {})}


class Config(Section):
    """Everything that a person asks for."""

    data: Data
    plan: PlanWishes = PlanWishes()
    model: Part = Part(name="UNet")
    """The network, from `delineate.models` or an import path; the plan says its size."""
    loss: Annotated[tuple[LossTerm, ...], MinLen(1), Words("a list of one or more loss terms")] = (
        LossTerm(name="Dice"),
        LossTerm(name="CrossEntropy"),
    )
    """The terms of the loss; their weighted sum is trained, and each is logged by its name."""
    augment: Annotated[tuple[Part, ...], Words("a list of transforms, [] for none")] = ()
    """Random changes of training samples, in order, from `delineate.augment` or import paths."""
    optimizer: Optimizer = Optimizer()
    schedule: Part = Part(name="Cosine")
    """The learning rate over the run, from `delineate.engine.schedules` or an import path."""
    start: Start = Start()
    train: Train = Train()
    stages: Annotated[tuple[Stage, ...], Words("a list of stages, [] for one run")] = ()
    """Trainings one after the other, each beginning with the weights of the one before."""
    track: Annotated[tuple[Part, ...], Words("a list of trackers, [] for none")] = ()
    """Where figures go besides the run folder, from `delineate.tracking` or import paths."""
    predict: Predict = Predict()
    run_dir: FilePath = Path("runs/unnamed")
    """The folder of this run: configuration, plan, weights, scores and report."""

    @field_validator("stages")
    @classmethod
    def _stages_differ(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        names = [stage.name.lower() for stage in stages]
        twice = [stage.name for i, stage in enumerate(stages) if stage.name.lower() in names[:i]]
        if twice:
            raise ValueError(f"has two stages called '{twice[0]}', but each has a folder.")
        return stages

    @cached_property
    def places(self) -> Places:
        """Where each key was written, for messages; empty for a configuration made in Python."""
        return {}
