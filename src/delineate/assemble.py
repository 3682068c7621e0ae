"""The network that a configuration names, in the shape that the plan asks for."""

import torch
from torch import nn

from delineate.config import Config, build
from delineate.plan import Plan

__all__ = ["assemble_network"]


def assemble_network(config: Config, plan: Plan) -> nn.Module:
    """The network that the config names, told what the plan and the labels ask for."""
    # The weights at the start belong to the seed, whatever was drawn before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        return build(
            config.model,
            "delineate.models",
            in_channels=len(plan.channels),
            out_channels=plan.labels.channels,
            spatial_dims=len(plan.network.strides[0]),
            features=plan.network.features,
            strides=plan.network.strides,
            kernels=plan.network.kernels,
            convolutions=plan.network.convolutions,
        )
