"""The three sums over voxels that every loss of whole regions is made of, and what they share."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.losses.compare import Pair, memberships, pair, probabilities

__all__ = ["RegionLoss", "RegionSums", "region_sums"]


class RegionSums(NamedTuple):
    """One row per case, or one for the batch; one column per class that counts."""

    common: Float[Tensor, "n k"]
    """Probability inside the truth, sum p g."""
    predicted: Float[Tensor, "n k"]
    """Probability anywhere, sum p."""
    true: Float[Tensor, "n k"]
    """Voxels of the truth, sum g."""


class RegionLoss(ABC):
    """Abstract: a loss that is a function of the sums.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
        batch: one row of sums for the whole batch instead of one per case.
        background: count channel 0 too; without effect on overlapping masks, which have none.
    """

    def __init__(self, *, overlapping: bool, batch: bool, background: bool) -> None:
        self.overlapping = overlapping
        self.batch = batch
        self.background = background

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term=type(self).__name__)
        return self.of(
            region_sums(
                both, overlapping=self.overlapping, background=self.background, batch=self.batch
            )
        )

    @abstractmethod
    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""


def region_sums(both: Pair, *, overlapping: bool, background: bool, batch: bool) -> RegionSums:
    """Sums over the voxels that have a verdict.

    Args:
        background: keep channel 0, which overlapping masks always do: it is a structure there.
        batch: one row for the whole batch.
    """
    first = 0 if overlapping or background else 1
    probs = probabilities(both.logits, overlapping=overlapping)[:, first:]
    member, known = memberships(both, overlapping=overlapping)
    # Converted first: a product of float and bool is three times as slow.
    truth = member[:, first:].to(probs.dtype)
    space = tuple(range(2, probs.dim()))
    sums = RegionSums(
        common=(probs * truth).sum(space),
        predicted=(probs * known.to(probs.dtype)).sum(space),
        true=truth.sum(space),
    )
    return RegionSums(*(s.sum(0, keepdim=True) for s in sums)) if batch else sums
