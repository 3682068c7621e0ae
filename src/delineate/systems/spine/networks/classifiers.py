"""Networks that tell classes of whole images, by their documented names and sizes."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from delineate.config.arguments import parameters
from delineate.errors import ConfigError, DataError, require
from delineate.models import ResNet

__all__ = ["CLASSIFIERS", "published"]

log = logging.getLogger("delineate")

_RESNETS: dict[str, Literal[18, 34, 50, 101]] = {"18": 18, "34": 34, "50": 50, "101": 101}
FAMILIES = {
    "EfficientVit_MSRA": "efficientvit",
    "RepVit": "repvit",
    "MobileNetV4": "mobilenetv4",
}
"""What timm's names begin with."""
_PIXELS = re.compile(r"_(\d{3})$")
"""The image size that stands at the end of a size, as in hybrid_medium_224."""


def _resnet(
    out_channels: int,
    *,
    in_channels: int = 1,
    size: int | str = "18",
    stem: Literal["large", "small"] = "large",
) -> nn.Module:
    depth = _RESNETS.get(str(size).lower().removeprefix("resnet"))
    if depth is None:
        raise ValueError(f"size is {size}. Fix: one of {', '.join(_RESNETS)}.")
    return ResNet(in_channels, out_channels, spatial_dims=2, depth=depth, stem=stem)


def _efficient_vit(out_channels: int, *, in_channels: int = 1, size: str = "m5") -> nn.Module:
    return _timm(FAMILIES["EfficientVit_MSRA"], size, out_channels, in_channels)


def _rep_vit(out_channels: int, *, in_channels: int = 1, size: str = "m1_0") -> nn.Module:
    return _timm(FAMILIES["RepVit"], size, out_channels, in_channels)


def _mobile_net(
    out_channels: int,
    *,
    in_channels: int = 1,
    size: str = "hybrid_medium_224",
) -> nn.Module:
    return _timm(FAMILIES["MobileNetV4"], size, out_channels, in_channels)


def published(
    name: str, keys: Mapping[str, Any], *, in_channels: int, out_channels: int
) -> nn.Module:
    """A network of that name with the weights that timm fetches; a ResNet's are called as ours."""
    maker = CLASSIFIERS.get(name)
    if maker is None:
        raise ConfigError(
            f"pretrained: there are no published weights of {name}. Fix: the path of a file, or "
            "pretrained: false."
        )
    size = str(keys.get("size") or parameters(maker)["size"].default)
    if name == "ResNet":
        full, pixels = f"resnet{size.lower().removeprefix('resnet')}", None
    else:
        full, pixels = _full_name(FAMILIES[name], size)
    timm: Any = require("timm", extra="timm")
    if pixels is not None:
        weights = timm.list_pretrained(f"{full}.*")
        full = next((w for w in weights if re.search(rf"[._-]r{pixels}\b", w)), full)
    log.info("pretrained: the weights of %s, by timm.", full)
    try:
        return timm.create_model(
            full, in_chans=in_channels, num_classes=out_channels, pretrained=True
        )
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"pretrained: the weights of {full} could not be fetched ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). Fix: a connection, the path of a file of weights, or "
            "pretrained: false."
        ) from error


def _timm(family: str, size: str, out_channels: int, in_channels: int) -> nn.Module:
    name, _ = _full_name(family, size)
    timm: Any = require("timm", extra="timm")
    return timm.create_model(name, in_chans=in_channels, num_classes=out_channels)


def _full_name(family: str, size: str) -> tuple[str, str | None]:
    """What timm calls it, and the image size that the name asks weights of."""
    timm: Any = require("timm", extra="timm")
    known = timm.list_models(f"{family}_*")
    name, pixels = f"{family}_{_PIXELS.sub('', size)}", _PIXELS.search(size)
    if name not in known:
        sizes = ", ".join(n.removeprefix(f"{family}_") for n in known)
        raise ConfigError(f"size '{size}' is unknown. Fix: one of {sizes}.")
    return name, pixels and pixels[1]


CLASSIFIERS = {
    "ResNet": _resnet,
    "EfficientVit_MSRA": _efficient_vit,
    "RepVit": _rep_vit,
    "MobileNetV4": _mobile_net,
}
