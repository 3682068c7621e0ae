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
_DEPTH = 4
"""How many containers may lie around the weights."""
_MOST_NAMES = 1_000_000
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
    if path.is_dir():
        return _read_run(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Fix: give a run folder or a file of weights.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if h5py.is_hdf5(path):
        state = read_keras(path)
        notes = (RESNET_NOTE,) if "layer1.0.conv1.weight" in state else ()
        return Source(state=state, kind="a Keras model", notes=notes)
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
    """Ours have their facts beside them, or the plan in the folder of their run."""
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a readable safetensors file ({error}).") from None
    plan = path.parent.parent / PLAN
    if plan.is_file():
        made = read_plan(plan)
        ends = Ends(channels=made.channels, classes=output_names(made.labels))
        return Source(state=state, kind="a run of delineate", ends=ends)
    return Source(state=state, kind="a safetensors file", ends=_facts(path.with_suffix(".json")))


def _facts(path: Path) -> Ends:
    """Channels and labels in the JSON beside a file of weights, where there is one."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}). Fix: delete it or mend it.") from None
    if not isinstance(facts, dict) or not {"channels", "labels"} <= facts.keys():
        return Ends()
    classes = output_names(Labels.from_json(facts["labels"]))
    return Ends(channels=tuple(facts["channels"]), classes=classes)


def _read_torch(path: Path) -> Source:
    content = read_outline(path)
    described = _find(content, _DEPTH)
    if not described:
        held = ", ".join(sorted(map(str, content))[:8]) if isinstance(content, dict) else "no dict"
        raise DataError(
            f"{path}: no weights of a network in here (it holds: {held}). "
            "Fix: save the state dict: torch.save(model.state_dict(), PATH)."
        )
    state = load_tensors(path, described)
    if not nnunet.is_checkpoint(content):
        return Source(state=state, kind="a PyTorch file")
    ends = Ends(channels=nnunet.channel_names(content), classes=nnunet.head_names(content))
    return Source(
        state=nnunet.turn_axes(content, state),
        kind="an nnU-Net checkpoint",
        ends=ends,
        notes=(nnunet.AXES_NOTE,),
    )


def _find(content: Any, depth: int) -> _Described:
    """The weights of the one network in here, by name; none where it is not clear which it is."""
    if isinstance(content, Inert) and not content.items:
        return dict(_module_tensors(content))
    entries = content.items if isinstance(content, Inert) else content
    if not isinstance(entries, dict) or not depth:
        return {}
    for key in WRAPPERS:
        if key in entries and (found := _find(entries[key], depth - 1)):
            return found
    own = {str(key): value for key, value in entries.items() if _is_tensor(value)}
    if own:
        return own
    inner = [_find(value, depth - 1) for key, value in entries.items() if isinstance(key, str)]
    inner = [found for found in inner if found]
    return inner[0] if len(inner) == 1 else {}


def _module_tensors(module: Inert) -> Iterator[tuple[str, StoredTensor | Inert]]:
    """The names and tensors of a pickled module, as its state_dict would give them."""
    waiting: list[tuple[str, Inert]] = [("", module)]
    for _ in range(_MOST_NAMES):
        if not waiting:
            return
        prefix, owner = waiting.pop()
        entries = list(_attributes(owner))
        yield from ((prefix + name, value) for name, value in entries if _is_tensor(value))
        inner = [(f"{prefix}{n}.", v) for n, v in entries if isinstance(v, Inert)]
        waiting += reversed([(n, v) for n, v in inner if not is_array(v)])
    raise DataError("the file holds modules without end. Fix: save the state dict of the network.")


def _attributes(module: Inert) -> Sequence[tuple[str, Any]]:
    """Parameters, buffers and inner modules, in that order; TorchScript keeps them side by side."""
    state = module.state if isinstance(module.state, dict) else {}
    if "_modules" not in state:
        return list(state.items()) if module.name.startswith("__torch__") else []
    groups = (state.get(key) or {} for key in ("_parameters", "_buffers", "_modules"))
    return [entry for group in groups if isinstance(group, dict) for entry in group.items()]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, StoredTensor) or is_array(value)
