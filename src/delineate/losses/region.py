"""Losses of whole regions, from sums over the voxels of a case.

Soft Dice (Milletari et al., arXiv 1606.04797, with plain sums as in nnU-Net): with probabilities p
and truth g,
    1 - mean over cases and classes c of (2 sum(p_c g_c) + e) / (sum p_c + sum g_c + e).
Generalised Dice (Sudre et al., arXiv 1707.03237) is one ratio for all classes of a case,
    1 - (2 sum_c w_c sum(p_c g_c) + e) / (sum_c w_c (sum p_c + sum g_c) + e),
    w_c = 1 / (sum g_c)^2.
How we differ: a class that is absent from a case would weigh infinitely, and takes the largest
weight of the classes that are there; the weights of a case are scaled to sum to 1, so that e means
the same for large and small structures.
"""

from jaxtyping import Float
from torch import Tensor

from delineate.losses.sums import RegionLoss, RegionSums

__all__ = ["Dice", "GeneralisedDice"]


class Dice(RegionLoss):
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
        super().__init__(overlapping=overlapping, batch=batch, background=background)
        self.smooth = smooth

    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""
        dice = (2 * sums.common + self.smooth) / (sums.predicted + sums.true + self.smooth)
        return 1 - dice.mean()


class GeneralisedDice(RegionLoss):
    """1 - generalised Dice, averaged over cases: each class counts by its volume to the power -2.

    A case without any class (overlapping masks, or all ignored) weighs all classes the same.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
        batch: weights and sums of the whole batch instead of each case.
        background: count channel 0 too; without effect on overlapping masks, which have none.
        smooth: e above.
    """

    def __init__(
        self,
        *,
        overlapping: bool = False,
        batch: bool = False,
        background: bool = True,
        smooth: float = 1e-5,
    ) -> None:
        super().__init__(overlapping=overlapping, batch=batch, background=background)
        self.smooth = smooth

    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""
        weights = _rarity(sums.true)
        common = (weights * sums.common).sum(1)
        total = (weights * (sums.predicted + sums.true)).sum(1)
        return 1 - ((2 * common + self.smooth) / (total + self.smooth)).mean()


def _rarity(volumes: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """1 / volume^2, absent classes as the rarest that is there; each row sums to 1."""
    smallest = volumes.masked_fill(volumes == 0, float("inf")).amin(1, keepdim=True)
    # Squares of ratios stay within 0 and 1; an absent class is the infinite one.
    relative = (smallest / volumes).nan_to_num(posinf=1.0).square()
    return relative / relative.sum(1, keepdim=True)
