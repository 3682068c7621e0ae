"""Which weights decay, and which have a rate of their own."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from delineate.engine.prefixes import check_prefixes, longest_prefix

__all__ = ["parameter_groups"]


def parameter_groups(
    network: nn.Module,
    weight_decay: float | None,
    *,
    lr: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """The trained weights for any torch.optim class: kernels decay, biases and gains do not.

    Args:
        weight_decay: None leaves it to the optimiser.
        lr: the rate that `rates` are factors of; only needed with them.
        rates: factors by the beginning of a weight's name; the longest that fits counts, a weight
            without one has the full rate. One that fits no weight is a ConfigError.
    """
    rates = rates or {}
    if rates and lr is None:
        raise ValueError("parameter_groups: rates are factors on lr, which is missing")
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    check_prefixes("rates", rates, trained.keys())
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for name, weight in trained.items():
        decays = weight_decay is not None and weight.ndim > 1
        factor = rates.get(longest_prefix(name, rates) or "", 1.0)
        group = groups.setdefault((not decays, factor), {"params": []})
        group["params"].append(weight)
        if weight_decay is not None:
            group["weight_decay"] = weight_decay if decays else 0.0
        if lr is not None:
            group["lr"] = lr * factor
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]
