"""Weights on disk are safetensors beside JSON: nothing of ours is ever unpickled."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from delineate.errors import DataError
from delineate.io import atomic_path

__all__ = ["Average", "load_weights", "misfit", "save_weights", "separate"]


class Average:
    """A copy of a network that follows its weights by an exponential moving average."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the present weights; the memory is short while few steps are done."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, present in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(present, share)
        for mean, present in zip(self.network.buffers(), network.buffers(), strict=True):
            mean.copy_(present)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights, and over how many steps."""
        return {"steps": self.steps, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on averaging."""
        self.steps = state["steps"]
        self.network.load_state_dict(state["network"])


def save_weights(path: Path, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write `path` (.safetensors) and its facts beside it (.json), each atomically."""
    try:
        with atomic_path(path) as part:
            save_file(separate(state), part)
        with atomic_path(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: cannot be written ({error}). Fix: make room on the disk."
        ) from None


def separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor on the CPU in storage of its own, which safetensors wants of tied weights too."""
    return {name: v.detach().cpu().contiguous().clone() for name, v in state.items()}


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of `path` into a network of the same shape; a mismatch is a DataError."""
    if not path.is_file():
        raise DataError(f"{path}: there are no weights here. Fix: finish the training first.")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a readable safetensors file ({error}).") from None
    wrong = misfit(network, state)
    if wrong:
        raise DataError(
            f"{path}: the weights do not fit the network of plan.json: {wrong}. "
            "Fix: use the plan of that training."
        )
    network.load_state_dict(state)


def misfit(network: nn.Module, state: Mapping[str, Tensor]) -> str:
    """How the weights differ from the network's own, for messages; empty where they fit."""
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    wrong = missing + foreign + shapes
    if not wrong:
        return ""
    return (
        f"{len(missing)} missing, {len(foreign)} unknown, {len(shapes)} of another shape "
        f"(first: {wrong[0]})"
    )
