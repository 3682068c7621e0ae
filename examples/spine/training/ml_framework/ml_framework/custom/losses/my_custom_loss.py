"""A loss of one's own: `loss: {name: MyCustomLoss}`."""

import torch.nn.functional as F
from torch import Tensor

from ml_framework.base.loss import BaseLoss


class MyCustomLoss(BaseLoss):
    """Binary cross-entropy plus 1 - Dice; `pred` is what the network returned."""

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """A scalar."""
        found = pred.sigmoid()
        overlap = 2 * (found * target).sum() + 1
        dice = overlap / (found.sum() + target.sum() + 1)
        return F.binary_cross_entropy_with_logits(pred, target) + 1 - dice
