"""What networks, losses and steps of one's own derive from: `ml_framework.base` hands them on."""

from abc import ABC, abstractmethod
from typing import Any

from pydantic import BaseModel as Checked
from pydantic import ConfigDict
from torch import Tensor, nn

__all__ = ["BaseLoss", "BaseModel", "BasePreprocess", "ModelConfig"]


class BaseModel(nn.Module):
    """Abstract: a network from images (b, c, h, w) to (b, k, h, w), or to (b, k) for classes.

    The keys of `model` that its constructor names are its arguments, all of them if it takes
    **kwargs. What `forward` returns goes into the loss as it is, and through `last_activation`
    before figures are taken.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()


class ModelConfig(Checked):
    """Abstract: the keys that a network of one's own takes, their types and defaults.

    A subclass in the file of a network checks what the experiment says of it.
    """

    model_config = ConfigDict(extra="forbid")


class BaseLoss(nn.Module):
    """Abstract: a loss of what the network returned and of the truth, both floats of one shape.

    Masks are (b, 1, h, w) or one layer a class, classes of images one-hot (b, k).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """A scalar."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(pred, target).")


class BasePreprocess(ABC):
    """Abstract: a step of the pipeline; its `params` are the constructor's arguments."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()

    @abstractmethod
    def __call__(self, data: Any) -> Any:
        """What becomes of an array (h, w, c)."""
