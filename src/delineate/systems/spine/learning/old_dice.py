"""torchmetrics.Dice as it was before it was removed: sums over the data set, then 2 TP / (...)."""

from typing import Literal

import torch
import torchmetrics
from torch import Tensor

__all__ = ["Dice"]


class Dice(torchmetrics.Metric):
    """2 TP / (2 TP + FP + FN), of counts over all pixels or images.

    Args:
        num_classes: Ids that there are; None or 1 counts the foreground alone.
        ignore_index: A class that does not count, the background for 0.
        average: micro adds up the counts of the classes, macro takes the mean over the classes that
            occur, weighted weighs that by how often they do, none gives each class.
        threshold: Of probabilities, where they come in.
        zero_division: The Dice where there is nothing on either side.
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        average: Literal["micro", "macro", "weighted", "none"] | None = "micro",
        threshold: float = 0.5,
        zero_division: float = 0.0,
    ) -> None:
        super().__init__()
        self.classes = max(2, num_classes or 2)
        foreground = num_classes in (None, 1)
        self.ignored = {0} if foreground else set()
        self.ignored |= {ignore_index} if ignore_index is not None else set()
        self.average = average
        self.threshold = threshold
        self.zero_division = zero_division
        kept = [c for c in range(self.classes) if c not in self.ignored]
        if not kept or (ignore_index is not None and not 0 <= ignore_index < self.classes):
            raise ValueError(
                f"Dice: of {self.classes} classes, ignore_index {ignore_index} leaves "
                f"{kept or 'none'}. Fix: one of the classes, and leave another."
            )
        self.kept = kept
        self.add_state("counts", torch.zeros(3, self.classes, dtype=torch.long), "sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count ids, or foreground probabilities, of any shape."""
        if preds.is_floating_point():
            preds = preds > self.threshold
        p, t = preds.flatten().long(), target.flatten().long()
        size = self.classes
        pairs = torch.bincount(t * size + p, minlength=size * size).reshape(size, size)
        both = pairs.diagonal()
        self.counts += torch.stack((both, pairs.sum(0) - both, pairs.sum(1) - both))

    def compute(self) -> Tensor:
        """The Dice."""
        hit, extra, missed = self.counts[:, self.kept].double()
        if self.average == "micro":
            hit, extra, missed = hit.sum(), extra.sum(), missed.sum()
        total = 2 * hit + extra + missed
        dice = torch.where(total > 0, 2 * hit / total.clamp(min=1), self.zero_division)
        if self.average == "macro":
            dice = dice[total > 0].mean() if (total > 0).any() else dice.mean()
        if self.average == "weighted":
            share = hit + missed
            dice = (dice * share).sum() / share.sum().clamp(min=1)
        return dice.float()
