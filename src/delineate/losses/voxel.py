"""Losses that are a mean over voxels.

Cross-entropy: the mean over voxels of -log p_y, each voxel counting by the weight of its class y;
with overlapping masks -(g log p + (1 - g) log(1 - p)), a mean over voxels and classes.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.labels import IGNORE
from delineate.losses.compare import Pair, memberships, pair

__all__ = ["CrossEntropy"]


class CrossEntropy:
    """Cross-entropy over the voxels that have a verdict; 0 where no voxel has one.

    Args:
        overlapping: binary cross-entropy per class instead of one choice among classes.
        weights: one per output channel, background included; None weighs all the same.
    """

    def __init__(
        self, *, overlapping: bool = False, weights: Sequence[float] | None = None
    ) -> None:
        self.overlapping = overlapping
        self.weights = None if weights is None else tuple(weights)

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="CrossEntropy")
        weights = self._weights(both.logits)
        return _binary(both, weights) if self.overlapping else _exclusive(both, weights)

    def _weights(self, logits: Tensor) -> Tensor | None:
        if self.weights is None:
            return None
        if len(self.weights) != logits.shape[1]:
            raise ValueError(
                f"CrossEntropy: {len(self.weights)} weights for {logits.shape[1]} output channels. "
                "Fix: one weight per channel, background included."
            )
        return logits.new_tensor(self.weights)


def _exclusive(both: Pair, weights: Tensor | None) -> Tensor:
    ids = both.mask.long()
    total = F.cross_entropy(both.logits, ids, weights, ignore_index=IGNORE, reduction="sum")
    known = ids >= 0
    mass = known.sum() if weights is None else (weights[ids.clamp(min=0)] * known).sum()
    return total / mass.clamp(min=1e-8)


def _binary(both: Pair, weights: Tensor | None) -> Tensor:
    member, known = memberships(both, overlapping=True)
    loss = F.binary_cross_entropy_with_logits(
        both.logits, member.to(both.logits.dtype), reduction="none"
    )
    shares = known.to(loss.dtype)
    if weights is not None:
        shares = shares * weights.view(-1, *(1 for _ in loss.shape[2:]))
    return (loss * shares).sum() / shares.sum().clamp(min=1e-8)
