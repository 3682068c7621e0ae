"""The parts that a configuration names, told what the plan and the labels ask for."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from delineate.augment import Sequence as Augmentation
from delineate.config import Config, build
from delineate.config.schema import Ramp as RampWish
from delineate.engine.optim import parameter_groups
from delineate.engine.schedules import Schedule
from delineate.engine.torch_schedule import as_schedule, rate_holder
from delineate.losses import Ramp, WeightedSum, as_term
from delineate.plan import Plan

__all__ = [
    "assemble_augmentation",
    "assemble_loss",
    "assemble_network",
    "assemble_optimizer",
    "assemble_schedule",
    "assemble_trackers",
]


def assemble_network(config: Config, plan: Plan) -> nn.Module:
    """The network, in the shape that the plan asks for."""
    # The weights at the start belong to the seed, whatever was drawn before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        return build(
            config.model,
            "delineate.models",
            in_channels=len(plan.channels),
            out_channels=plan.labels.channels,
            spatial_dims=len(plan.network.strides[0]),
            img_size=tuple(plan.patch[axis] for axis in plan.seen_axes),
            labels=plan.labels,
            features=plan.network.features,
            strides=plan.network.strides,
            kernels=plan.network.kernels,
            convolutions=plan.network.convolutions,
        )


def assemble_loss(config: Config, plan: Plan) -> WeightedSum:
    """The weighted terms; a second term of one name is told apart by its place in the list."""
    terms, weights = {}, {}
    for i, part in enumerate(config.loss):
        name = part.name.rpartition(".")[2]
        name = f"{name}_{i}" if name in terms else name
        made = build(
            part, "delineate.losses", overlapping=plan.labels.overlapping, labels=plan.labels
        )
        terms[name] = as_term(made)
        weight = part.weight
        weights[name] = Ramp(**dict(weight)) if isinstance(weight, RampWish) else weight
    return WeightedSum(terms, weights)


def assemble_augmentation(config: Config, plan: Plan) -> Augmentation:
    """The transforms, cutting to the plan's patch."""
    seen = plan.seen_axes
    known = {
        "labels": plan.labels,
        "mirror": plan.labels.mirror,
        "mirror_axis": seen.index(plan.left_right) if plan.left_right in seen else None,
    }
    transforms = [build(part, "delineate.augment", **known) for part in config.augment]
    return Augmentation(transforms, patch=tuple(plan.patch[axis] for axis in seen))


def assemble_optimizer(config: Config, network: nn.Module) -> Optimizer:
    """The optimiser of the weights that are trained."""
    wish = config.optimizer
    params = parameter_groups(network, wish.weight_decay, lr=wish.lr, rates=wish.rates)
    return build(wish, "torch.optim", params=params)


def assemble_schedule(config: Config, *, steps: int | None) -> Schedule:
    """The factor on the rate over the progress; `steps` is None for a budget in time."""
    holder = rate_holder(config.optimizer.lr)
    made = build(config.schedule, "delineate.engine.schedules", optimizer=holder)
    return as_schedule(made, steps=steps)


def assemble_trackers(config: Config, folder: Path) -> list[Any]:
    """The loggers besides the tables of the run's folder; an absent package is a MissingExtra."""
    return [
        build(part, "delineate.tracking", folder=folder, name=folder.name) for part in config.track
    ]
