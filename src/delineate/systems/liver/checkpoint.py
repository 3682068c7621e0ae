"""What a training goes on from, looked at before it begins."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from delineate.engine.weights import misfit
from delineate.errors import ConfigError

__all__ = ["check_checkpoint"]

KEYS = ("state_dict", "optimizer_states", "loops")


def check_checkpoint(path: Path, module: nn.Module) -> None:
    """Raise a ConfigError where a module's training cannot go on from a file; none of it is run."""
    if not path.is_file():
        raise ConfigError(f"resume_from_checkpoint: {path}: no such file.")
    content: Any = None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"resume_from_checkpoint: {path}: cannot be read as weights ({reason}). Fix: a .ckpt "
            "that this trainer has written; weights of other programs are for model_params."
        ) from None
    if not isinstance(content, dict) or any(key not in content for key in KEYS):
        raise ConfigError(
            f"resume_from_checkpoint: {path}: holds no training to go on with. "
            "Fix: a .ckpt that this trainer has written, such as last.ckpt."
        )
    if wrong := misfit(module, content["state_dict"]):
        raise ConfigError(
            f"resume_from_checkpoint: {path}: the weights do not fit the network: {wrong}. "
            "Fix: the model_name, model_params and num_classes of that training."
        )
