"""Losses that are a mean over voxels.

Cross-entropy: the mean over voxels of -log p_y, each voxel counting by the weight of its class y;
with overlapping masks -(g log p + (1 - g) log(1 - p)), a mean over voxels and classes.
Focal (Lin et al., arXiv 1708.02002): that of -(1 - p_y)^gamma log p_y, optionally times alpha where
there is a structure and 1 - alpha where there is none.
Top-k (Wu et al., arXiv 1605.06885): the mean of the share of voxels whose cross-entropy is highest.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.labels import IGNORE
from delineate.losses.compare import Pair, memberships, pair

__all__ = ["CrossEntropy", "Focal", "TopK"]


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
        weights = _channel_weights(self.weights, both.logits, term="CrossEntropy")
        if self.overlapping:
            return _mean(
                _entropies(both, overlapping=True), _shares(both, weights, overlapping=True)
            )
        ids = both.mask.long()
        total = F.cross_entropy(both.logits, ids, weights, ignore_index=IGNORE, reduction="sum")
        return total / _shares(both, weights, overlapping=False).sum().clamp(min=_TINY)


class Focal:
    """Cross-entropy that cares less for voxels that are already right; 0 where none has a verdict.

    With gamma 0 it is CrossEntropy. As there, the mean divides by the voxels' weights; alpha is a
    factor only, as in the paper.

    Args:
        gamma: how fast a voxel loses its weight as its probability rises.
        alpha: factor of voxels of a structure, 1 - alpha that of others; None takes neither. With
            exclusive classes channel 0 is the one that is no structure.
        overlapping: one decision per class instead of one choice among classes.
        weights: one per output channel, background included; None weighs all the same.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        overlapping: bool = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        if gamma < 0:
            raise ValueError(f"Focal: gamma is {gamma:g}. Fix: a power of at least 0.")
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"Focal: alpha is {alpha:g}. Fix: a share between 0 and 1, or null.")
        self.gamma = gamma
        self.alpha = alpha
        self.overlapping = overlapping
        self.weights = None if weights is None else tuple(weights)

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="Focal")
        weights = _channel_weights(self.weights, both.logits, term="Focal")
        entropy = _entropies(both, overlapping=self.overlapping)
        # 1 - p without cancellation; kept off 0, where the slope of a root is infinite.
        doubt = -torch.expm1(-entropy)
        loss = doubt.clamp(min=_TINY) ** self.gamma * entropy
        if self.alpha is not None:
            structure = both.mask > (0.5 if self.overlapping else 0)
            loss = loss * torch.where(structure, self.alpha, 1 - self.alpha)
        return _mean(loss, _shares(both, weights, overlapping=self.overlapping))


class TopK:
    """Cross-entropy of the hardest voxels of the batch; 0 where no voxel has a verdict.

    Args:
        share: of the voxels with a verdict (with overlapping masks, of voxels times classes), how
            many count; at least one does, and 1 is CrossEntropy.
        overlapping: one decision per class instead of one choice among classes.
    """

    def __init__(self, *, share: float = 0.1, overlapping: bool = False) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"TopK: share is {share:g}. Fix: more than 0, at most 1.")
        self.share = share
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="TopK")
        entropy = _entropies(both, overlapping=self.overlapping).flatten()
        most = max(1, round(self.share * entropy.numel()))
        hardest = entropy.topk(most).values
        # The number of known voxels stays on the device: reading it would wait for the GPU.
        wanted = (self.share * (both.mask >= 0).sum()).round().clamp(min=1)
        counted = torch.arange(most, device=hardest.device) < wanted
        return _mean(hardest, counted)


_TINY = 1e-8


def _entropies(both: Pair, *, overlapping: bool) -> Float[Tensor, "b *r"]:
    """Per voxel, and per class where masks overlap; 0 where there is no verdict."""
    if not overlapping:
        ids = both.mask.long()
        return F.cross_entropy(both.logits, ids, ignore_index=IGNORE, reduction="none")
    member, known = memberships(both, overlapping=True)
    truth = member.to(both.logits.dtype)
    loss = F.binary_cross_entropy_with_logits(both.logits, truth, reduction="none")
    return loss * known.to(loss.dtype)


def _shares(
    both: Pair, weights: Float[Tensor, " k"] | None, *, overlapping: bool
) -> Bool[Tensor, "b *r"] | Float[Tensor, "b *r"]:
    """How much each entropy counts: the weight of its class, 0 without a verdict."""
    known = both.mask >= 0
    if weights is None:
        return known
    if overlapping:
        return known * weights.view(-1, *(1 for _ in both.logits.shape[2:]))
    return weights[both.mask.long().clamp(min=0)] * known


def _mean(loss: Tensor, shares: Tensor) -> Float[Tensor, ""]:
    counted = shares.to(loss.dtype)
    return (loss * counted).sum() / counted.sum().clamp(min=_TINY)


def _channel_weights(
    weights: tuple[float, ...] | None, logits: Tensor, *, term: str
) -> Float[Tensor, " k"] | None:
    if weights is None:
        return None
    if len(weights) != logits.shape[1]:
        raise ValueError(
            f"{term}: {len(weights)} weights for {logits.shape[1]} output channels. "
            "Fix: one weight per channel, background included."
        )
    return logits.new_tensor(weights)
