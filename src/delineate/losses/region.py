"""Losses of whole regions.

Soft Dice (Milletari et al., arXiv 1606.04797, with plain sums as in nnU-Net): with probabilities p
and truth g summed over the voxels of a case,
    1 - mean over cases and classes of (2 sum(p g) + e) / (sum p + sum g + e).
"""

from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.losses.compare import memberships, pair

__all__ = ["Dice"]


class Dice:
    """1 - soft Dice, averaged over cases and classes; 0 for a perfect prediction.

    A class that is absent from a case has the Dice e / (sum p + e): 1 when nothing of it is
    predicted, about 0 otherwise. Ignored voxels are outside every sum.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
        batch: sum over the whole batch before dividing, so that small structures absent from most
            patches do not dominate.
        background: count channel 0 too; without effect on overlapping masks, which have none.
        smooth: e above.
    """

    def __init__(
        self,
        *,
        overlapping: bool = False,
        batch: bool = False,
        background: bool = False,
        smooth: float = 1e-5,
    ) -> None:
        self.overlapping = overlapping
        self.batch = batch
        self.first = 0 if overlapping or background else 1
        self.smooth = smooth

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="Dice")
        probs = both.logits.sigmoid() if self.overlapping else both.logits.softmax(dim=1)
        member, known = memberships(both, overlapping=self.overlapping)
        probs = probs[:, self.first :] * known
        return (
            1
            - soft_dice(probs, member[:, self.first :], batch=self.batch, smooth=self.smooth).mean()
        )


def soft_dice(
    probs: Float[Tensor, "b k *s"], truth: Tensor, *, batch: bool = False, smooth: float = 1e-5
) -> Float[Tensor, "n k"]:
    """Dice per case (or one row for the batch) and class; 1 where both are empty."""
    space = tuple(range(2, probs.dim()))
    common = (probs * truth).sum(space)
    total = probs.sum(space) + truth.sum(space)
    if batch:
        common, total = common.sum(0, keepdim=True), total.sum(0, keepdim=True)
    return (2 * common + smooth) / (total + smooth)
