"""What a training goes on from, looked at before it begins."""

from pathlib import Path

from torch import nn

from delineate.engine.checkpoint_file import read_checkpoint
from delineate.engine.weights import misfit
from delineate.errors import ConfigError, DataError

__all__ = ["check_checkpoint"]

NEEDED = ("state_dict", "optimizer_states", "loops")


def check_checkpoint(path: Path, module: nn.Module) -> None:
    """Raise a ConfigError where a module's training cannot go on from a file; none of it is run."""
    give = "a .ckpt of this trainer (last.ckpt); weights of other programs are for model_params"
    try:
        content = read_checkpoint(path, NEEDED, give=give)
    except DataError as error:
        raise ConfigError(f"resume_from_checkpoint: {error}") from None
    if wrong := misfit(module, content["state_dict"]):
        raise ConfigError(
            f"resume_from_checkpoint: {path}: the weights do not fit the network: {wrong}. "
            "Fix: the model_name, model_params and num_classes of that training."
        )
