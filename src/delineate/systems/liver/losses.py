"""What is trained: the cross-entropy of every voxel, with the soft Dice of the structures if asked.

Logits may come from any network: a tensor, several of them (deep supervision, the finest first), or
an Output. Coarser logits whose size divides the mask's are compared with a coarser mask, others are
up-sampled; each resolution counts half of the one before.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from delineate.contracts import Output, Target
from delineate.losses import CrossEntropy, Dice, Term, WeightedSum
from delineate.models import as_output
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["DiceCrossEntropyLoss", "SegmentationCrossEntropyLoss", "make_loss"]

Logits = Tensor | Sequence[Tensor] | Output
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class SegmentationCrossEntropyLoss(nn.Module):
    """The mean over voxels of the cross-entropy, in two or three dimensions.

    Ids below 0 are ignored; where nothing is known the loss is 0.

    Args:
        weight: what a voxel of each class counts, background first; None counts all the same.
    """

    def __init__(self, weight: Tensor | Sequence[float] | None = None) -> None:
        super().__init__()
        weights = weight.tolist() if isinstance(weight, Tensor) else weight
        self.weight = None if weights is None else tuple(float(w) for w in weights)
        self._sum = WeightedSum(terms := self.terms(), dict.fromkeys(terms, 1.0))

    def terms(self) -> dict[str, Term]:
        """What is compared, by name; the loss is the sum."""
        return {"cross_entropy": CrossEntropy(weights=self.weight)}

    def forward(self, logits: Logits, targets: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: (b, k, *s), or whatever a network returned.
            targets: (b, *s) or (b, 1, *s) ids.
        """
        output = _whole_fractions(as_output(logits))
        if output.logits is not None and targets.dim() == output.logits.dim():
            targets = targets.squeeze(1)
        found = self._sum(output, Target(mask=targets.long()))
        return torch.stack(list(found.values())).sum()


class DiceCrossEntropyLoss(SegmentationCrossEntropyLoss):
    """The cross-entropy and 1 - the soft Dice of the structures, per case: small ones count too."""

    def terms(self) -> dict[str, Term]:
        """Both."""
        return super().terms() | {"dice": Dice()}


def make_loss(config: ModelTrainingConfig) -> SegmentationCrossEntropyLoss:
    """The loss that the settings name; with a target label, of background and that structure."""
    weights = config.class_weights
    if weights is not None and config.target_label is not None and len(weights) > 2:
        weights = (weights[0], weights[config.target_label])
    dice = config.loss == "dice_cross_entropy"
    return (DiceCrossEntropyLoss if dice else SegmentationCrossEntropyLoss)(weights)


def _whole_fractions(output: Output) -> Output:
    """Coarser logits of other sizes at the full one."""
    if output.logits is None or not output.deep:
        return output
    full = tuple(output.logits.shape[2:])
    return replace(output, deep=tuple(_fit(logits, full) for logits in output.deep))


def _fit(logits: Tensor, full: tuple[int, ...]) -> Tensor:
    """As they are if each axis divides the full one; else up-sampled, what is too much cut off.

    Networks pad at the far ends: the first voxels lie on each other.
    """
    size = logits.shape[2:]
    if not any(f % s for f, s in zip(full, size, strict=True)):
        return logits
    factors = [float(-(-f // s)) for f, s in zip(full, size, strict=True)]
    large = F.interpolate(logits, scale_factor=factors, mode=_LINEAR[len(full)])
    return large[(..., *(slice(f) for f in full))]
