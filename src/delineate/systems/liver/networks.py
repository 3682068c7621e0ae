"""Networks by the names that settings give them."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from delineate import models
from delineate.config import Part, build
from delineate.config.words import did_you_mean
from delineate.engine.adaptation import Ends
from delineate.engine.foreign_weights import read_source
from delineate.engine.transfer import transfer
from delineate.errors import ConfigError, DataError
from delineate.models.any_size import AnySize
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["SegNetwork", "make_network", "network_of"]

log = logging.getLogger("delineate")

_DFORMER = f"{__name__}.SegNetwork"
_SHORT = {
    "dformer3d": (_DFORMER, 3),
    "dformer2d": (_DFORMER, 2),
    "unet3d": ("UNet", 3),
    "unet2d": ("UNet", 2),
}
"""The network and its spatial axes, by the names of the documented registry."""
_WIDTHS = (32, 64, 128, 256, 320)
"""Of the resolutions of networks that ask for a topology: each has half the voxels per axis."""


class SegNetwork(models.DFormer):
    """D-Former under its documented arguments.

    Args:
        num_classes: channels that it puts out, background included.
        in_chan: channels of an image.
        embed_dim: see `delineate.models.DFormer`, as of all others.
        pretrain: a file with weights of a 2-D Swin transformer or D-Former, or of a 3-D one, that
            the network begins with.
    """

    def __init__(
        self,
        num_classes: int,
        in_chan: int = 1,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        patch_size: Sequence[int] = (2, 4, 4),
        group_size: Sequence[int] = (2, 8, 8),
        deep_supervision: bool = True,
        pretrain: str | None = None,
        *,
        spatial_dims: Literal[2, 3] = 3,
        mlp_ratio: float = 4,
        drop_path: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            in_chan,
            num_classes,
            spatial_dims=spatial_dims,
            embed_dim=embed_dim,
            depths=depths,
            num_heads=num_heads,
            patch_size=patch_size,
            group_size=group_size,
            mlp_ratio=mlp_ratio,
            drop_path=drop_path,
            deep_supervision=deep_supervision,
            checkpointing=checkpointing,
        )
        if pretrain is not None:
            _begin_with(self, Path(pretrain))


def make_network(
    model_name: str,
    *,
    in_channels: int,
    num_classes: int,
    spatial_dims: int = 3,
    **model_params: Any,
) -> nn.Module:
    """A network for images (b, in_channels, *s); what cannot be built is a ConfigError.

    Args:
        model_name: dformer3d, dformer2d, unet3d, unet2d, a network of `delineate.models`, or the
            import path of any other.
        in_channels: Of an image.
        num_classes: Channels that it puts out.
        spatial_dims: Of an image, where the name does not say it.
        model_params: Further arguments of the network.
    """
    name, dims = _SHORT.get(model_name, (model_name, spatial_dims))
    known = [*_SHORT, *sorted(set(models.__all__) - {"as_output", "inflate_2d"})]
    if "." not in name and name not in known:
        raise ConfigError(
            f"model_name '{model_name}' is unknown.{did_you_mean(model_name, known)} There are: "
            f"{', '.join(known)}; any other is named in full: package.Network."
        )
    if model_name in _SHORT and name == "UNet":
        model_params = {"deep_supervision": True} | model_params
    try:
        network = build(
            Part(name=name, **model_params),
            "delineate.models",
            in_channels=in_channels,
            out_channels=num_classes,
            in_chan=in_channels,
            num_classes=num_classes,
            spatial_dims=dims,
            **_topology(dims),
        )
    except ConfigError as error:
        raise ConfigError(f"model_name '{model_name}', model_params: {error}") from None
    divisor = getattr(network, "divisor", None)
    return AnySize(network, divisor) if isinstance(divisor, tuple) else network


def network_of(config: ModelTrainingConfig) -> nn.Module:
    """The network of the settings, whose first weights are a function of their seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return make_network(
            config.model_name,
            in_channels=config.input_channels,
            num_classes=config.num_classes,
            **config.model_params,
        )


def _topology(dims: int) -> dict[str, Any]:
    """What our U-shaped networks ask for."""
    stages = len(_WIDTHS)
    return {
        "features": _WIDTHS,
        "strides": ((1,) * dims, *((2,) * dims for _ in range(stages - 1))),
        "kernels": ((3,) * dims,) * stages,
        "convolutions": (2,) * stages,
    }


def _begin_with(network: nn.Module, path: Path) -> None:
    """Put what fits of a file's weights into the network; one that brings little is a DataError."""
    source, own = read_source(path), network.state_dict()
    source = replace(source, state=models.inflate_2d(source.state, own))
    try:
        filled, report = transfer(own, source, ends=Ends())
    except DataError as error:
        raise DataError(f"pretrain: {path}: {error}") from None
    network.load_state_dict(filled)
    log.info("pretrain: %s", report.summary)
