"""Weights from any file that people start from: tensors by name, and what is known about them.

Read are a run of ours (its folder or its .safetensors), nnU-Net v2's checkpoints, files of
torch.save (state dicts, Lightning's, MONAI's, whole pickled modules, TorchScript) and Keras' .h5.
Nothing in a file is ever executed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from delineate.engine import nnunet_checkpoint as nnunet
from delineate.engine.adaptation import Ends
from delineate.engine.inert_array import is_array
from delineate.engine.inert_pickle import Inert, StoredTensor
from delineate.engine.keras_file import RESNET_NOTE, read_keras
from delineate.engine.torch_file import load_tensors, read_outline
from delineate.errors import DataError
from delineate.labels import Labels
from delineate.plan import read_plan

__all__ = ["Source", "output_names", "read_source"]

BEST = Path("checkpoints", "best.safetensors")
"""Where a run of ours keeps its weights."""
PLAN = "plan.json"
WRAPPERS = (
    *("network_weights", "state_dict", "model_state_dict", "model", "net", "network"),
    *("weights", "params"),
)
"""Under which of its entries a checkpoint keeps the network, the likeliest first."""
KERAS_COLOURS = ("blue", "green", "red")
"""The channels of a picture as Keras' ResNet reads them, RadImageNet's included."""
_DEPTH = 4
"""How many containers may lie around the weights."""
_MOST_NAMES = 1_000_000
_LONGEST = 1000
"""Letters in the name of a weight."""
_Described = dict[str, StoredTensor | Inert]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Weights by name, as the file names them, in our layout and axes."""

    state: dict[str, Tensor]
    kind: str
    """What the file is, in a few words."""
    ends: Ends = field(default_factory=Ends)
    notes: tuple[str, ...] = ()
    """What a reader of the report should know besides."""


def read_source(path: Path) -> Source:
    """The weights in a file, or in the folder of a run; anything else is a DataError."""
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: no such file. Fix: give a run folder or a file of weights.")
    source = _read_run(path) if path.is_dir() else _read_file(path)
    # Names are matched with patterns and shown.
    if not all(name.isprintable() and len(name) <= _LONGEST for name in source.state):
        raise DataError(f"{path}: a weight in here has a name that cannot be shown.")
    return source


def _read_file(path: Path) -> Source:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if h5py.is_hdf5(path):
        state = read_keras(path)
        if "layer1.0.conv1.weight" not in state:
            return Source(state=state, kind="a Keras model")
        ends = Ends(channels=KERAS_COLOURS)
        return Source(state=state, kind="a Keras model", ends=ends, notes=(RESNET_NOTE,))
    return _read_torch(path)


def output_names(labels: Labels) -> tuple[str, ...]:
    """The class of each output channel of a network for these labels."""
    leaves = tuple(leaf.name for leaf in labels.leaves)
    return leaves if labels.overlapping else ("background", *leaves)


def _read_run(folder: Path) -> Source:
    weights = folder / BEST
    if not weights.is_file():
        raise DataError(
            f"{folder}: not the folder of a training ({BEST} is missing). "
            "Fix: give a run_dir of `delineate train`, or the file of weights itself."
        )
    return _read_safetensors(weights)


def _read_safetensors(path: Path) -> Source:
    """Ours have the plan in the folder of their run, or else their facts beside them."""
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a readable safetensors file ({error}).") from None
    plan = path.parent.parent / PLAN
    if path.parts[-2:] == BEST.parts and plan.is_file():
        made = read_plan(plan)
        ends = Ends(channels=made.channels, classes=output_names(made.labels))
        return Source(state=state, kind="a run of delineate", ends=ends)
    return Source(state=state, kind="a safetensors file", ends=_facts(path.with_suffix(".json")))


def _facts(path: Path) -> Ends:
    """Channels and labels in the JSON beside a file of weights, where there is one."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}). Fix: delete it or mend it.") from None
    if not isinstance(facts, dict) or not {"channels", "labels"} <= facts.keys():
        return Ends()
    try:
        classes = output_names(Labels.from_json(facts["labels"]))
        channels = tuple(facts["channels"])
        if not all(isinstance(name, str) for name in (*channels, *classes)):
            raise ValueError("a name that is no text")
    except (TypeError, ValueError, LookupError, AttributeError, DataError) as error:
        raise DataError(
            f"{path}: channels and labels in here are not as training writes them ({error}). "
            "Fix: delete it or mend it."
        ) from None
    return Ends(channels=channels, classes=classes)


def _read_torch(path: Path) -> Source:
    content = read_outline(path)
    described = _find(content, _DEPTH, set())
    if not described:
        keys = [key for key in content if isinstance(key, str)] if isinstance(content, dict) else []
        held = ", ".join(sorted(keys)[:8]) or "no names"
        raise DataError(
            f"{path}: no weights of a network in here (it holds: {held}). "
            "Fix: save the state dict: torch.save(model.state_dict(), PATH)."
        )
    state = load_tensors(path, described)
    if not nnunet.is_checkpoint(content):
        return Source(state=state, kind="a PyTorch file")
    try:
        ends = Ends(channels=nnunet.channel_names(content), classes=nnunet.head_names(content))
        state = nnunet.turn_axes(content, state)
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(
            f"{path}: dataset_json or plans in here are not as nnU-Net writes them ({error})."
        ) from None
    notes = (nnunet.AXES_NOTE,)
    return Source(state=state, kind="an nnU-Net checkpoint", ends=ends, notes=notes)


def _find(content: Any, depth: int, met: set[int]) -> _Described:
    """The weights of the one network in here, by name; none where it is not clear which it is.

    Containers may hold each other many times over: what was met is not searched again.
    """
    if isinstance(content, Inert) and not content.items:
        return dict(_module_tensors(content))
    entries = content.items if isinstance(content, Inert) else content
    if not isinstance(entries, dict) or not depth or id(entries) in met:
        return {}
    met.add(id(entries))
    for key in WRAPPERS:
        if key in entries and (found := _find(entries[key], depth - 1, met)):
            return found
    own = {str(key): value for key, value in entries.items() if _is_tensor(value)}
    if own:
        return own
    named = (value for key, value in entries.items() if isinstance(key, str))
    inner = [found for value in named if (found := _find(value, depth - 1, met))]
    return inner[0] if len(inner) == 1 else {}


def _module_tensors(module: Inert) -> Iterator[tuple[str, StoredTensor | Inert]]:
    """The names and tensors of a pickled module, as its state_dict would give them."""
    waiting: list[tuple[str, Inert]] = [("", module)]
    left = _MOST_NAMES
    while waiting:
        prefix, owner = waiting.pop()
        entries = [(name, value) for name, value in _attributes(owner) if isinstance(name, str)]
        left -= 1 + len(entries)
        if left < 0 or any(len(prefix) + len(name) > _LONGEST for name, _ in entries):
            raise DataError(
                "the file holds modules without end. Fix: save the state dict of the network."
            )
        yield from ((prefix + name, value) for name, value in entries if _is_tensor(value))
        inner = [(f"{prefix}{n}.", v) for n, v in entries if isinstance(v, Inert)]
        waiting += reversed([(n, v) for n, v in inner if not is_array(v)])


def _attributes(module: Inert) -> Sequence[tuple[str, Any]]:
    """Parameters, buffers and inner modules, in that order; TorchScript keeps them side by side."""
    state = module.state if isinstance(module.state, dict) else {}
    if "_modules" not in state:
        return list(state.items()) if module.name.startswith("__torch__") else []
    groups = (state.get(key) or {} for key in ("_parameters", "_buffers", "_modules"))
    return [entry for group in groups if isinstance(group, dict) for entry in group.items()]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, StoredTensor) or is_array(value)
