"""The state of an optimiser as plain PyTorch has it: one group of all weights, in order."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

__all__ = ["as_one_group"]


def as_one_group(optimizer: Optimizer, network: nn.Module) -> dict[str, Any]:
    """As `AdamW(network.parameters())` would have it, copied to the CPU."""
    places: dict[torch.Tensor, int] = {w: i for i, w in enumerate(network.parameters())}
    moments = {
        places[weight]: {key: _copy(value) for key, value in of_weight.items()}
        for weight, of_weight in optimizer.state.items()
    }
    group = max(optimizer.param_groups, key=lambda group: group["weight_decay"])
    rest = {key: value for key, value in group.items() if key != "params"}
    return {
        "state": dict(sorted(moments.items())),
        "param_groups": [{**rest, "params": list(range(len(places)))}],
    }


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value
