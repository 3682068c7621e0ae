"""Tversky losses: Dice with a price of its own for false alarms and for misses.

Tversky (Salehi et al., arXiv 1706.05721): with probabilities p and truth g summed over the voxels
of a case, TP = sum p g, FP = sum p (1 - g), FN = sum (1 - p) g,
    1 - mean over cases and classes of T,  T = (TP + e) / (TP + alpha FP + beta FN + e).
Focal Tversky (Abraham & Khan, arXiv 1810.07842): the mean of (1 - T)^gamma.
How we differ from the latter: its exponent is written 1 / gamma there, and its alpha is the price
of a miss. (1 - T)^gamma is taken of 1 - T + 1e-6 and shifted back to 0, because the slope of the
power is infinite at a perfect prediction when gamma < 1.
"""

from jaxtyping import Float
from torch import Tensor

from delineate.losses.sums import RegionLoss, RegionSums

__all__ = ["FocalTversky", "Tversky"]


class Tversky(RegionLoss):
    """1 - Tversky index, averaged over cases and classes; 0 for a perfect prediction.

    With both prices 0.5 it is Dice. A class that is absent from a case costs nothing when nothing
    of it is predicted, about 1 otherwise.

    Args:
        alpha: price of a false alarm.
        beta: price of a miss; above alpha it favours sensitivity.
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
        batch: sum over the whole batch before dividing.
        background: count channel 0 too; without effect on overlapping masks, which have none.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        overlapping: bool = False,
        batch: bool = False,
        background: bool = False,
    ) -> None:
        _check_prices("Tversky", alpha, beta)
        self.alpha = alpha
        self.beta = beta
        super().__init__(overlapping=overlapping, batch=batch, background=background)

    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""
        return _shortfall(sums, self.alpha, self.beta).mean()


class FocalTversky(RegionLoss):
    """(1 - Tversky index)^gamma, averaged over cases and classes; 0 for a perfect prediction.

    Args:
        gamma: below 1 it keeps pulling at structures that are nearly right, above 1 it cares for
            those that are mostly wrong.
        alpha: price of a false alarm.
        beta: price of a miss; above alpha it favours sensitivity.
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
        batch: sum over the whole batch before dividing.
        background: count channel 0 too; without effect on overlapping masks, which have none.
    """

    def __init__(
        self,
        *,
        gamma: float = 0.75,
        alpha: float = 0.3,
        beta: float = 0.7,
        overlapping: bool = False,
        batch: bool = False,
        background: bool = False,
    ) -> None:
        _check_prices("FocalTversky", alpha, beta)
        if gamma <= 0:
            raise ValueError(f"FocalTversky: gamma is {gamma:g}. Fix: a power above 0.")
        self.gamma = gamma
        self.alpha = alpha
        self.beta = beta
        super().__init__(overlapping=overlapping, batch=batch, background=background)

    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""
        shortfall = _shortfall(sums, self.alpha, self.beta)
        return ((shortfall + _SHIFT) ** self.gamma - _SHIFT**self.gamma).mean()


_SHIFT = 1e-6
_SMOOTH = 1e-5


def _shortfall(sums: RegionSums, alpha: float, beta: float) -> Float[Tensor, "n k"]:
    """1 - T, never below 0."""
    # The differences of large sums may round to less than 0.
    false_alarms = (sums.predicted - sums.common).clamp(min=0)
    misses = (sums.true - sums.common).clamp(min=0)
    wrong = alpha * false_alarms + beta * misses
    return wrong / (sums.common + wrong + _SMOOTH)


def _check_prices(term: str, alpha: float, beta: float) -> None:
    if alpha <= 0 or beta <= 0:
        raise ValueError(
            f"{term}: alpha is {alpha:g} and beta {beta:g}. Fix: prices above 0; without one of "
            "them an empty or a full mask would be perfect."
        )
