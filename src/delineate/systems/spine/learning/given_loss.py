"""A loss between what a network returned and the form that the loss is made for."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.errors import ConfigError
from delineate.systems.spine.networks.activation import Form, Wanted

__all__ = ["GivenLoss", "Rows", "Sum", "Term"]


class GivenLoss(nn.Module):
    """A loss of a network's values (b, k, ...) and a truth of the same shape."""

    def __init__(self, loss: nn.Module, wanted: Wanted, form: Form, *, ids: bool = False) -> None:
        super().__init__()
        self.loss = loss
        self.wanted: Wanted = wanted
        self.form = form
        self.ids = ids
        """Whether the truth is wanted as numbers of classes."""

    def forward(self, values: Tensor, target: Tensor) -> Tensor:
        """A scalar, in full precision."""
        with torch.autocast(values.device.type, enabled=False):
            given = self.form.give(self.wanted, values)
            found = self.loss(given, target.argmax(1) if self.ids else target.float())
        if not isinstance(found, Tensor) or found.numel() != 1:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"the loss {type(self.loss).__name__} returned {got}. Fix: one number, such as by "
                "reduction: mean."
            )
        return found.reshape(())


class Sum(nn.Module):
    """Several losses, each times its weight."""

    def __init__(self, parts: Sequence[tuple[float, GivenLoss]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for _, part in parts)
        self.weights = tuple(weight for weight, _ in parts)

    def forward(self, values: Tensor, target: Tensor) -> Tensor:
        """The sum."""
        found = [w * part(values, target) for w, part in zip(self.weights, self.parts, strict=True)]
        return torch.stack(found).sum()


class Term(nn.Module):
    """A loss of `delineate.losses`, which compares an Output with a Target."""

    def __init__(self, term: Any, form: Form, task: str) -> None:
        super().__init__()
        self.term = term
        self.overlapping = form.final != "softmax"
        self.task = task

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch of logits."""
        if self.task == "classification" and not getattr(self.term, "image_level", False):
            # An image is a single pixel to what compares pixels.
            logits, target = logits[..., None, None], target[..., None, None]
        elif self.task == "classification":
            return self.term(
                Output(logits=None, presence=logits), Target(mask=None, presence=target)
            )
        mask = target if self.overlapping else target.argmax(1)
        return self.term(Output(logits=logits), Target(mask=mask))


class Rows(nn.Module):
    """A loss of rows (n, k), each pixel being one."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch (b, k, ...)."""
        return self.loss(*(x.movedim(1, -1).flatten(0, -2) for x in (pred, target)))
