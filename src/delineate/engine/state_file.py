"""A tree of tensors and plain values as one checksummed file that is whole or not there.

The tensors are safetensors; the rest is JSON in the header of the same file, with a checksum over
both. Nothing is pickled, and a loss of power leaves the file before untouched.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from delineate.errors import DataError

__all__ = ["Snapshot", "read_state"]


@dataclass(slots=True)
class Snapshot:
    """A copy of a tree in memory of its own, used again for the next one."""

    text: str = ""
    """The plain values as JSON, with names in the place of tensors."""
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def take(self, tree: Mapping[str, Any]) -> None:
        """Copy the tree; what is changed in it afterwards does not matter."""
        found: dict[str, Tensor] = {}
        self.text = json.dumps(_without_tensors(tree, "", found))
        for name in self.tensors.keys() - found.keys():
            del self.tensors[name]
        for name, tensor in found.items():
            own = self.tensors.get(name)
            if own is None or own.shape != tensor.shape or own.dtype != tensor.dtype:
                own = self.tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype)
            own.copy_(tensor)

    def write(self, path: Path) -> None:
        """Write the copy; it takes the name `path` only when it is on the disk.

        A full disk is a DataError, and nothing half-written stays.
        """
        part = path.with_name(f"{path.name}.part")
        checksum = _checksum(self.text, self.tensors)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(self.tensors, part, metadata={"plain": self.text, "checksum": checksum})
            _flush(part)
            part.replace(path)
            _flush(path.parent)
        except (SafetensorError, OSError) as error:
            part.unlink(missing_ok=True)
            raise DataError(
                f"{path}: the state cannot be written ({error}); those before it are kept. "
                "Fix: make room on the disk; the same command goes on from the last of them."
            ) from None


def read_state(path: Path) -> dict[str, Any]:
    """The tree that was written to `path`; a damaged file is a DataError."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no dict
        text, checksum = metadata["plain"], metadata["checksum"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a whole file of state ({error}).") from None
    if _checksum(text, tensors) != checksum:
        raise DataError(f"{path}: the checksum is wrong: the file was changed or is damaged.")
    return _with_tensors(json.loads(text), tensors)


def _without_tensors(value: Any, name: str, found: dict[str, Tensor]) -> Any:
    """What JSON can hold: tensors by their names; tuples and keys that are not text are marked."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        found[name] = value.detach()
        return {"$tensor": name}
    if isinstance(value, list | tuple):
        items = [_without_tensors(v, f"{name}/{i}", found) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, Mapping):
        pairs = [(k, _without_tensors(v, f"{name}/{k}", found)) for k, v in value.items()]
        simple = all(isinstance(k, str) and not k.startswith("$") for k in value)
        return dict(pairs) if simple else {"$pairs": pairs}
    raise TypeError(f"{name}: a state has tensors and plain values, not a {type(value).__name__}")


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return tensors[value["$tensor"]]
    if "$tuple" in value:
        return tuple(_with_tensors(v, tensors) for v in value["$tuple"])
    pairs = value["$pairs"] if "$pairs" in value else value.items()
    return {k: _with_tensors(v, tensors) for k, v in pairs}


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _flush(path: Path) -> None:
    """Have what is written reach the disk."""
    if os.name != "posix" and path.is_dir():
        return  # only there can a folder be opened
    file = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
