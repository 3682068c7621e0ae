"""Our networks that MONAI has too, weight by weight under MONAI's names.

    UNet        monai.networks.nets.DynUNet, where every stage has two convolutions and one kernel
    SegResNet   monai.networks.nets.SegResNet, where each stage halves every axis, kernel 3

A bias in front of an instance normalisation is taken away with the mean: DynUNet has none there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from delineate.engine.weights import separate
from delineate.models import SegResNet, UNet
from delineate.plan import Network, Plan

__all__ = ["Twin", "find_twin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The same network in MONAI's own words."""

    name: str
    """A class of `monai.networks.nets`."""
    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    """By MONAI's names; a name that only repeats another weight is left out."""


def find_twin(network: nn.Module, plan: Plan) -> Twin | None:
    """MONAI's own network that computes the same, or None."""
    if type(network) is UNet and _suits_dynunet(plan.network):
        return _dynunet(network, plan)
    if type(network) is SegResNet and _suits_segresnet(network, plan.network):
        return _segresnet(network, plan)
    return None


def _suits_dynunet(shape: Network) -> bool:
    """DynUNet pads by (kernel - stride + 1) // 2 and gives a decoder the kernel one stage below."""
    return (
        len(shape.features) >= 3
        and set(shape.convolutions) == {2}
        and len(set(shape.kernels)) == 1
        and all(
            (k - s + 1) // 2 == k // 2
            for kernel, stride in zip(shape.kernels, shape.strides, strict=True)
            for k, s in zip(kernel, stride, strict=True)
        )
    )


def _dynunet(network: UNet, plan: Plan) -> Twin:
    shape = plan.network
    arguments = {
        "spatial_dims": len(shape.strides[0]),
        "in_channels": len(plan.channels),
        "out_channels": plan.labels.channels,
        "kernel_size": [list(kernel) for kernel in shape.kernels],
        "strides": [list(stride) for stride in shape.strides],
        "upsample_kernel_size": [list(stride) for stride in shape.strides[1:]],
        "filters": list(shape.features),
        "trans_bias": True,
    }
    last = len(shape.features) - 1
    stages = ["input_block", *(f"downsamples.{i}" for i in range(last - 1)), "bottleneck"]
    names: dict[str, str] = {}
    for i, stage in enumerate(stages):
        names |= _stack(f"encoder.{i}", stage)
    for i in range(last):
        up = f"upsamples.{last - 1 - i}"
        names |= {f"up.{i}.{what}": f"{up}.transp_conv.conv.{what}" for what in ("weight", "bias")}
        names |= _stack(f"decoder.{i}", f"{up}.conv_block")
    names |= {f"heads.0.{what}": f"output_block.conv.conv.{what}" for what in ("weight", "bias")}
    return Twin(name="DynUNet", arguments=arguments, weights=_renamed(network, names))


def _stack(ours: str, theirs: str) -> dict[str, str]:
    """Two convolutions and their normalisations."""
    names = {}
    for i in (0, 1):
        names[f"{ours}.{i}.convolution.weight"] = f"{theirs}.conv{i + 1}.conv.weight"
        names |= {f"{ours}.{i}.norm.{w}": f"{theirs}.norm{i + 1}.{w}" for w in ("weight", "bias")}
    return names


def _suits_segresnet(network: SegResNet, shape: Network) -> bool:
    first = shape.features[0]
    return (
        all(k == 3 for kernel in shape.kernels for k in kernel)
        and all(s == 2 for stride in shape.strides[1:] for s in stride)
        and all(width == first * 2**i for i, width in enumerate(shape.features))
        and len(network.encoder) == len(shape.features)
    )


def _segresnet(network: SegResNet, plan: Plan) -> Twin:
    shape = plan.network
    blocks = [len(stage) - 1 for stage in _sequences(network.encoder)]
    arguments = {
        "spatial_dims": len(shape.strides[0]),
        "init_filters": shape.features[0],
        "in_channels": len(plan.channels),
        "out_channels": plan.labels.channels,
        "blocks_down": blocks,
        "blocks_up": [1] * (len(blocks) - 1),
    }
    names = {"encoder.0.0.weight": "convInit.conv.weight"}
    for i, count in enumerate(blocks):
        if i:
            names[f"encoder.{i}.0.weight"] = f"down_layers.{i}.0.conv.weight"
        for j in range(1, count + 1):
            names |= _block(f"encoder.{i}.{j}", f"down_layers.{i}.{j}")
    last = len(blocks) - 1
    for i in range(last):
        names[f"up.{i}.weight"] = f"up_samples.{last - 1 - i}.0.conv.weight"
        names |= _block(f"decoder.{i}", f"up_layers.{last - 1 - i}.0")
    for what in ("weight", "bias"):
        names[f"heads.0.0.{what}"] = f"conv_final.0.{what}"
        names[f"heads.0.1.{what}"] = f"conv_final.2.conv.{what}"
    return Twin(name="SegResNet", arguments=arguments, weights=_renamed(network, names))


def _block(ours: str, theirs: str) -> dict[str, str]:
    names = {}
    for i in (1, 2):
        names[f"{ours}.conv{i}.weight"] = f"{theirs}.conv{i}.conv.weight"
        names |= {f"{ours}.norm{i}.{w}": f"{theirs}.norm{i}.{w}" for w in ("weight", "bias")}
    return names


def _sequences(stages: nn.ModuleList) -> list[nn.Sequential]:
    return [stage for stage in stages if isinstance(stage, nn.Sequential)]


def _renamed(network: nn.Module, names: Mapping[str, str]) -> dict[str, Tensor]:
    state = network.state_dict()
    return separate({theirs: state[ours] for ours, theirs in names.items()})
