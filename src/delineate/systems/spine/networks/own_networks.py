"""A network of one's own, from the keys of the experiment that its constructor takes."""

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import nn

from delineate.config.arguments import parameters, wrong_arguments
from delineate.errors import ConfigError
from delineate.systems.spine.schema.bases import ModelConfig

__all__ = ["build_own"]

SUPPLIED = {
    **dict.fromkeys(("out_channels", "num_classes", "n_classes", "classes"), "out_channels"),
    **dict.fromkeys(("in_channels", "in_chans", "n_channels"), "in_channels"),
}
"""What a constructor is given where the experiment does not say it."""


def build_own(maker: Any, keys: Mapping[str, Any], channels: int) -> tuple[nn.Module, str]:
    """The network, and the activation that it was told to end with.

    Keys that it does not take are a ConfigError, but for `out_activation`, `pretrained` and
    `freeze`, which are ours to see to where it does not name them.
    """
    known = parameters(maker)
    ours = {"out_activation", "pretrained", "freeze"} - known.keys()
    own = {name: value for name, value in keys.items() if name not in ours}
    own = _checked(maker, own)
    counts = {"out_channels": channels, "in_channels": keys.get("in_channels", 1)}
    supplied = {n: counts[what] for n, what in SUPPLIED.items() if n in known and n not in own}
    label = getattr(maker, "__name__", str(maker))
    wrong = [text for _, text in wrong_arguments(maker, own, supplied)]
    if wrong:
        raise ConfigError("\n".join(f"model {label}: {text}" for text in wrong))
    try:
        network = maker(**supplied, **own)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model {label} refuses its keys: {error}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"model {label} is a {type(network).__name__}, not a torch.nn.Module.")
    told = own.get("out_activation") if "out_activation" in known else None
    return network, str(told or "identity").lower()


def _checked(maker: Any, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys, as the ModelConfig beside the network takes them, if there is just one."""
    beside = vars(sys.modules.get(maker.__module__, sys)).values()
    found = [
        value
        for value in beside
        if isinstance(value, type)
        and issubclass(value, ModelConfig)
        and value.__module__ == maker.__module__
    ]
    if len(found) != 1:
        return dict(keys)
    try:
        return dict(found[0](**keys))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        label = found[0].__name__
        raise ConfigError("\n".join(f"model ({label}): {text}" for text in wrong)) from None
