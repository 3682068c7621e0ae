"""Networks that draw masks, by their documented names, with the keys that those have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import nn

from delineate import models

__all__ = ["SEGMENTERS", "topology"]

WIDTHS = (32, 64, 128, 256, 320)
"""Of the resolutions of networks that ask for a topology; each has half the pixels per axis."""
WIDEST = 320


def _unet(*, attention: bool, batch_norm: bool) -> Callable[..., nn.Module]:
    """The plain U-Net with or without gates, and whether it has batch norms unless it is said."""

    def make(
        out_channels: int,
        *,
        in_channels: int = 1,
        depth: int = 4,
        features: int = 64,
        use_batch_norm: bool = batch_norm,
        use_xavier: bool = False,
        dropout: float = 0.0,
    ) -> nn.Module:
        return models.PlainUNet(
            in_channels,
            out_channels,
            init_features=features,
            depth=depth,
            batch_norm=use_batch_norm,
            attention=attention,
            dropout=dropout,
            xavier=use_xavier,
        )

    return make


def _duck_net(
    out_channels: int,
    *,
    in_channels: int = 1,
    depth: int = 5,
    features: int = 17,
    normalization: Literal["batch", "instance"] | None = "batch",
    interpolation: Literal["nearest", "linear", "bilinear"] = "nearest",
    use_multiplier: bool = False,
    checkpointing: bool = False,
) -> nn.Module:
    return models.DUCKNet(
        in_channels,
        out_channels,
        init_features=features,
        depth=depth,
        normalization=normalization,
        interpolation="nearest" if interpolation == "nearest" else "linear",
        use_multiplier=use_multiplier,
        checkpointing=checkpointing,
    )


def _stamp_unet(
    out_channels: int,
    *,
    in_channels: int = 1,
    depth: int = 4,
    features: int = 64,
    use_batch_norm: bool = True,
    use_xavier: bool = False,
    dropout: float = 0.1,
    structure: Mapping[str, Any] | None = None,
) -> nn.Module:
    pruned: dict[str, Any] = {"dropout": dropout, **(structure or {})}
    return models.STAMPUNet(
        in_channels,
        out_channels,
        init_features=features,
        depth=depth,
        batch_norm=use_batch_norm,
        xavier=use_xavier,
        **pruned,
    )


def _multi_task(
    out_channels: int,
    *,
    in_channels: int = 1,
    depth: int = 4,
    features: int = 32,
    deep_supervision: bool = False,
    checkpointing: bool = False,
) -> nn.Module:
    widths = topology(tuple(min(features * 2**level, WIDEST) for level in range(depth + 1)))
    return models.MultiTaskUNet(
        in_channels,
        out_channels,
        **widths,
        presence=out_channels,
        deep_supervision=deep_supervision,
        checkpointing=checkpointing,
    )


def topology(widths: Sequence[int] = WIDTHS) -> dict[str, Any]:
    """What our U-shaped networks ask for."""
    stages = len(widths)
    return {
        "features": tuple(widths),
        "strides": ((1, 1), *((2, 2) for _ in range(stages - 1))),
        "kernels": ((3, 3),) * stages,
        "convolutions": (2,) * stages,
    }


SEGMENTERS = {
    "UNET": _unet(attention=False, batch_norm=False),
    "AttentionUNET": _unet(attention=True, batch_norm=True),
    "DUCKNet": _duck_net,
    "STAMPUNet": _stamp_unet,
    "ImproveSTAMPUNet": _stamp_unet,
    "MultiTaskUNET": _multi_task,
}
