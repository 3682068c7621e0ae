"""What an nnU-Net v2 checkpoint says about itself: its channels, its classes and its axes.

nnU-Net's arrays have the axes (z, y, x) of the file, transposed by its plans; ours have (i, j, k),
that is (x, y, z). The kernels are turned accordingly, so that a network for thick slices keeps its
flat kernels in the plane. Pictures have rows and columns in both.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

__all__ = ["AXES_NOTE", "channel_names", "head_names", "is_checkpoint", "turn_axes"]

AXES_NOTE = "kernels turned from nnU-Net's axes to ours (i, j, k)"


def is_checkpoint(content: Any) -> bool:
    """Whether a file of torch.save holds a training of nnU-Net v2."""
    return isinstance(content, dict) and {"network_weights", "init_args"} <= content.keys()


def channel_names(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The input channels in order; None where the checkpoint does not name them."""
    dataset = _dictionary(content, "init_args", "dataset_json")
    names = dataset.get("channel_names") or dataset.get("modality")
    if not isinstance(names, dict) or not names:
        return None
    return _texts(names[key] for key in sorted(names, key=int))


def head_names(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The class of each output channel; None where the checkpoint does not name them.

    With regions (a class that is several ids) there is a channel per region and none for the
    background; else a channel per id, in the order of the ids.
    """
    labels = _dictionary(content, "init_args", "dataset_json").get("labels")
    if not isinstance(labels, dict) or not labels:
        return None
    declared = {name: value for name, value in labels.items() if name != "ignore"}
    if any(isinstance(value, list | tuple) for value in declared.values()):
        return _texts(name for name, value in declared.items() if value not in (0, [0], (0,)))
    return _texts(sorted(declared, key=lambda name: int(declared[name])))


def turn_axes(content: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with the spatial axes of their kernels in our order."""
    plans = _dictionary(content, "init_args", "plans")
    forward = [int(axis) for axis in plans.get("transpose_forward", (0, 1, 2))]
    reader = plans.get("image_reader_writer")
    picture = isinstance(reader, str) and "NaturalImage" in reader
    # Axis of the file that each axis of the network runs along.
    along = forward if picture else [2 - axis for axis in forward]
    # One tensor under two names stays one.
    turned = {id(t): _turn(t, along) for t in state.values()}
    return {name: turned[id(t)] for name, t in state.items()}


def _turn(weight: Tensor, along: list[int]) -> Tensor:
    dims = weight.dim() - 2
    if dims < 1:
        return weight
    seen = along[len(along) - dims :]
    order = sorted(range(dims), key=lambda axis: seen[axis])
    return weight.permute(0, 1, *(axis + 2 for axis in order))


def _texts(names: Iterable[Any]) -> tuple[str, ...]:
    found = tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise ValueError("a channel or a class whose name is no text")
    return found


def _dictionary(content: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The dictionary at the end of the path; empty where there is none."""
    found: Any = content
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
