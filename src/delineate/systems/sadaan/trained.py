"""A network from a .pth file of a training: its weights, its structures and how it saw scans."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from delineate.engine.weights import misfit
from delineate.errors import DataError, PlanError
from delineate.io.paths import missing
from delineate.models.sadaan import SADAAN
from delineate.plan import Plan, parse_plan
from delineate.systems.sadaan.checkpoints import read_checkpoint

__all__ = ["TrainedNetwork", "load_trained"]

WEIGHTS, NAMES = "model_state_dict", "structure_names"
FIRST, PRIOR = "encoder.0.0.weight", "prior"
"""What the arguments of a SADAAN are told from."""
ORIGINAL = (
    "If the original SADAAN program wrote it: its weights have other names and a position prior "
    "of one size, and cannot be taken over. Fix: train anew with train_hdf5.py."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """What evaluation needs of a training."""

    network: nn.Module
    """One logit a voxel and one of presence for each structure, in this order."""
    structure_names: tuple[str, ...]
    plan: Plan | None = None
    """None: the network was given the values as they are stored."""
    presence_threshold: float = 0.5
    epoch: int | None = None
    """Counted from 0."""


def load_trained(path: Path) -> TrainedNetwork:
    """The network of a .pth file on the CPU, in evaluation mode; anything else is a DataError."""
    content = _read(path)
    names = content.get(NAMES)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: '{NAMES}' is no list of names. Fix: give a file of a training.")
    network = _network(content[WEIGHTS], path)
    if network.prior.shape[0] != len(names):
        raise DataError(
            f"{path}: its weights are for {network.prior.shape[0]} structures, but it names "
            f"{len(names)}. Fix: give a file of a training."
        )
    return TrainedNetwork(
        network=network.eval(),
        structure_names=tuple(names),
        plan=None if content.get("plan") is None else _plan(str(content["plan"]), path),
        presence_threshold=float(content.get("presence_threshold", 0.5)),
        epoch=int(content["epoch"]),
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise missing(str(path))
    try:
        return read_checkpoint(path)
    except DataError as error:
        raise DataError(f"{error} {ORIGINAL}") from None


def _plan(text: str, path: Path) -> Plan:
    """The plan of the training, as plan.json has it."""
    try:
        return parse_plan(text, f"{path}: plan")
    except PlanError as error:
        raise DataError(str(error)) from None


def _network(state: Any, path: Path) -> SADAAN:
    """A SADAAN as large as the weights, with the weights."""
    tensors = isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values())
    if not tensors or not {FIRST, PRIOR} <= state.keys():
        found = next(iter(state), "nothing") if isinstance(state, Mapping) else "no weights"
        raise DataError(f"{path}: not the weights of this SADAAN (first: {found}). {ORIGINAL}")
    width, in_channels = state[FIRST].shape[:2]
    structures, *grid = state[PRIOR].shape
    # A full prior of equal sides and a coarse one of that size are the same weights.
    coarse = len(set(grid)) == 1
    try:
        network = SADAAN(
            in_channels,
            structures,
            spatial_dims=2 if len(grid) == 2 else 3,
            img_size=None if coarse else grid,
            prior="coarse" if coarse else "full",
            prior_size=grid[0],
            width=width,
        )
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path}: not the weights of this SADAAN ({error}). {ORIGINAL}") from None
    if wrong := misfit(network, state):
        raise DataError(f"{path}: not the weights of this SADAAN: {wrong}. {ORIGINAL}")
    network.load_state_dict(dict(state))
    return network
