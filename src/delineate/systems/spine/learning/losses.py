"""The losses of the document, of what a network returned and a truth of the same shape.

With p the prediction, g the truth, s = `smooth`:

    DiceLoss         1 - mean over cases and channels of (2 sum(pg) + s) / (sum p + sum g + s), with
                     p the sigmoid of what comes in, sums over the pixels of a case
    DuckNetDiceLoss  1 - (2 sum(pg) + s) / (sum p + sum g + s) over the whole batch; p as it comes,
                     g is 1 above 0.5
    FocalLoss        mean of a (1 - q)^gamma (-log q), Lin et al., arXiv 1708.02002; q is what the
                     true class got, a its weight; see `exclusive`
    WeightedCrossEntropy  -log q times the weight of the true class, over the sum of these weights
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DiceLoss", "DuckNetDiceLoss", "FocalLoss", "WeightedCrossEntropy"]


class DiceLoss(nn.Module):
    """1 - soft Dice per case and channel, with a sigmoid of its own."""

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch of logits (b, k, ...)."""
        # Classes of images: the channels of a case are summed over.
        p = pred.sigmoid().reshape(len(pred), pred.shape[1] if pred.dim() > 2 else 1, -1)
        g = target.reshape(p.shape)
        dice = (2 * (p * g).sum(2) + self.smooth) / (p.sum(2) + g.sum(2) + self.smooth)
        return 1 - dice.mean()


class DuckNetDiceLoss(nn.Module):
    """1 - soft Dice of the whole batch, of probabilities."""

    def __init__(self, smooth: float = 1e-6) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch of probabilities."""
        g = (target > 0.5).to(pred.dtype)
        both = 2 * (pred * g).sum() + self.smooth
        return 1 - both / (pred.sum() + g.sum() + self.smooth)


class FocalLoss(nn.Module):
    """Cross-entropy that counts what is nearly right for little.

    Args:
        gamma: How quickly that falls; 0 is the cross-entropy.
        alpha: The weight of the foreground, its rest that of the background; with `exclusive` the
            weight of each class. None counts all the same.
        exclusive: One of the channels is true (softmax), not each by itself (sigmoid).
    """

    alpha: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = None,
        *,
        exclusive: bool = False,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.exclusive = exclusive
        weights = None if alpha is None else torch.as_tensor(alpha, dtype=torch.float32)
        self.register_buffer("alpha", weights, persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch of logits (b, k, ...)."""
        alpha = self.alpha
        if self.exclusive:
            log_q = (pred.log_softmax(1) * target).sum(1)
            weight = None
            if alpha is not None:
                each = alpha.reshape(1, -1, *(1 for _ in pred.shape[2:]))
                weight = (each * target).sum(1)
        else:
            log_q = -F.binary_cross_entropy_with_logits(pred, target, reduction="none")
            weight = None if alpha is None else alpha * target + (1 - alpha) * (1 - target)
        lost = -((1 - log_q.exp()).clamp(min=0) ** self.gamma) * log_q
        return (lost if weight is None else weight * lost).mean()


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy with a weight for each class; of one channel, background and foreground.

    Args:
        weight: Of each class; None counts all the same.
    """

    weight: Tensor | None

    def __init__(self, weight: Sequence[float] | None = None) -> None:
        super().__init__()
        values = None if weight is None else torch.as_tensor(weight, dtype=torch.float32)
        self.register_buffer("weight", values, persistent=False)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch of logits (b, k, ...)."""
        if pred.shape[1] == 1:
            lost = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
            members = torch.cat((1 - target, target), 1)
        else:
            lost = -(pred.log_softmax(1) * target).sum(1, keepdim=True)
            members = target
        if self.weight is None:
            return lost.mean()
        if len(self.weight) != members.shape[1]:
            raise ValueError(
                f"WeightedCrossEntropy: {len(self.weight)} weights for {members.shape[1]} classes."
            )
        each = self.weight.reshape(1, -1, *(1 for _ in pred.shape[2:]))
        counts = (each * members).sum(1, keepdim=True)
        return (counts * lost).sum() / counts.sum().clamp(min=1e-12)
