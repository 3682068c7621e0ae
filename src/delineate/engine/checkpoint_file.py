"""Checkpoints as files of torch.save, which plain PyTorch writes and loads as well.

They hold tensors, numbers and texts only (`torch.load(weights_only=True)`).
"""

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from delineate.engine.plain_optimizer import as_one_group
from delineate.engine.task import Task
from delineate.errors import DataError
from delineate.io import atomic_path

__all__ = ["read_checkpoint", "write_checkpoint"]

_BROKEN = (
    *(pickle.UnpicklingError, RuntimeError, ValueError, TypeError, LookupError, AttributeError),
    *(AssertionError, OSError, EOFError, OverflowError, MemoryError, struct.error),
)
"""What `torch.load` raises for bytes that are damaged, or made to harm."""


def read_checkpoint(path: Path, needed: Sequence[str], *, give: str) -> dict[str, Any]:
    """What a checkpoint holds; nothing in it is run. One without a needed key is a DataError.

    Args:
        give: which file is wanted, for messages.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Fix: give {give}.")
    content: Any = None
    try:
        # Tensors that nobody looks at stay on the disk.
        mapped = zipfile.is_zipfile(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except _BROKEN as error:
        raise DataError(
            f"{path}: not a readable checkpoint ({_reason(error)}). Fix: give {give}."
        ) from None
    held = content if isinstance(content, dict) else {}
    if missing := [key for key in needed if key not in held]:
        raise DataError(f"{path}: has no '{missing[0]}'. Fix: give {give}.")
    return content


def write_checkpoint(
    path: Path, task: Task, *, epoch: int, weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Weights, the task's optimiser and schedule, and whatever facts; whole or not there.

    The state of the optimiser is that of one group of all weights in the network's order, as
    `AdamW(model.parameters())` has it.
    """
    schedule = getattr(task.schedule, "state_dict", dict)()
    content = {
        "epoch": epoch,
        "model_state_dict": dict(weights),
        "optimizer_state_dict": as_one_group(task.optimizer, task.network),
        "scheduler_state_dict": {"progress": task.clock.progress, **schedule},
        **facts,
    }
    with atomic_path(path) as part:
        torch.save(content, part)


def _reason(error: Exception) -> str:
    """In a few words: PyTorch's own are a page on how to run the file after all."""
    if code := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds {code[1]}, and nothing in a file is run"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, or not of torch.save"
