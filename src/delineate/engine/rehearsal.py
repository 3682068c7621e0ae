"""A first step on shapes alone: what does not go together is said before anything is computed."""

import copy

import torch

from delineate.contracts import Batch
from delineate.engine.task import Task
from delineate.errors import ConfigError
from delineate.models import as_output

__all__ = ["rehearse"]


def rehearse(task: Task, batch: Batch) -> None:
    """Walk a batch through augmentation, network and loss; what they refuse is a ConfigError.

    The network and the loss see tensors without values, so nothing moves and it takes no time. Some
    networks from elsewhere cannot do that: they are left to the first real step.
    """
    try:
        with torch.no_grad():
            seen = task.augment(batch, seed=task.seed).to("meta")
            output = as_output(copy.deepcopy(task.network).to("meta")(seen.image), seen.image)
            if output.logits is None:
                raise ValueError(
                    f"{type(task.network).__name__} answers with classes of the whole image, and "
                    "what is trained here is scored by its masks. Fix: a network with logits for "
                    "every voxel, such as UNet or MultiTaskUNet"
                )
            task.loss(output, seen.target)
    except ValueError as error:
        raise ConfigError(f"model, loss and augment do not go together: {error}") from error
    except (RuntimeError, NotImplementedError):
        return  # an operation that has no rule for shapes alone
