"""The loss of a batch: at every resolution of the answer, and of what is there at all."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.errors import DataError

__all__ = ["SliceLoss"]


class SliceLoss(nn.Module):
    """The experiment's loss; a coarser resolution counts half of the one before.

    A network that also says whether there is anything gets the cross-entropy of that besides.

    Args:
        loss: Of values and truth (b, k, ...).
        name: Of the network, for messages.
    """

    def __init__(self, loss: nn.Module, name: str) -> None:
        super().__init__()
        self.loss = loss
        self.name = name

    def forward(self, values: Sequence[Tensor], presence: Tensor | None, truth: Tensor) -> Tensor:
        """A scalar.

        Args:
            values: (b, k, ...), those of coarser resolutions behind.
            presence: Logits (b, k) of whether there is any of a class.
            truth: (b, k, ...)
        """
        self._check(values[0], truth)
        parts = []
        for level, each in enumerate(values):
            same = each.shape[2:] == truth.shape[2:]
            coarse = truth if same else F.interpolate(truth, each.shape[2:], mode="nearest")
            parts.append(self.loss(each, coarse) * 0.5**level)
        loss = torch.stack(parts).sum() / sum(0.5**level for level in range(len(parts)))
        if presence is not None:
            there = truth.flatten(2).amax(2)
            loss = loss + F.binary_cross_entropy_with_logits(presence.float(), there)
        return loss

    def _check(self, values: Tensor, truth: Tensor) -> None:
        if values.shape != truth.shape:
            raise DataError(
                f"{self.name} returned {tuple(values.shape)} for a truth of {tuple(truth.shape)}. "
                "Fix: out_channels or num_classes of the data, and a network that keeps the size "
                "of masks."
            )
