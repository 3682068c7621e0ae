"""Losses that know how far a voxel is from the true boundary, in mm.

With probabilities p, truth g and the signed distance d to the true boundary (negative inside):
Boundary (Kervadec et al., arXiv 1812.07032): the mean over voxels and structures of p d. Where a
structure is certain inside and absent outside, that is lowest, and below 0.
Hausdorff-like (Karimi & Salcudean, arXiv 1904.10030): the mean of (p - g)^2 d^alpha.
How we differ from the latter: d belongs to the truth only, not to the prediction as well, so that
one map made with the patch serves the whole run; and it counts as a share of `reach_mm`, 1 from
there on, so that a far voxel in a large patch does not outweigh everything.

Both leave a structure that is absent from a scan to the other terms: its map is 0. Under deep
supervision the coarser logits meet the map at every other voxel, still in mm, and the terms keep
their meaning at every resolution.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.losses.compare import Pair, memberships, pair, probabilities

__all__ = ["Boundary", "HausdorffLike"]


class Boundary:
    """Mean of probability times signed distance (mm) over structures and voxels with a verdict.

    It is 0 where no voxel has a verdict, and lowest at the truth. An empty prediction is 0 too, and
    of a small structure barely higher: add it to a loss of regions, its weight rising from 0.01.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    needs_distance = True

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        seen = _structures(output, target, overlapping=self.overlapping, term="Boundary")
        return _mean(seen.probs * seen.distance, seen.known)


class HausdorffLike:
    """Mean squared error, each voxel weighted by its distance to the true boundary.

    An error at the boundary costs nothing, one at `reach_mm` or further costs in full: outliers go
    first, the boundary is for another term. It is 0 for a perfect prediction and where no voxel
    has a verdict.

    Args:
        alpha: power of the distance.
        reach_mm: distance at which the weight is 1 and stays so.
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    needs_distance = True

    def __init__(
        self, *, alpha: float = 2.0, reach_mm: float = 10.0, overlapping: bool = False
    ) -> None:
        if alpha <= 0 or reach_mm <= 0:
            raise ValueError(
                f"HausdorffLike: alpha is {alpha:g} and reach_mm {reach_mm:g}. Fix: both above 0."
            )
        self.alpha = alpha
        self.reach_mm = reach_mm
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        seen = _structures(output, target, overlapping=self.overlapping, term="HausdorffLike")
        weights = (seen.distance.abs() / self.reach_mm).clamp(max=1) ** self.alpha
        return _mean((seen.probs - seen.truth).square() * weights, seen.known)


class _Structures(NamedTuple):
    """What both terms compare, without the background."""

    probs: Float[Tensor, "b k *s"]
    truth: Float[Tensor, "b k *s"]
    distance: Float[Tensor, "b k *s"]
    """mm"""
    known: Float[Tensor, "b c *s"]
    """1 where there is a verdict; one channel for all classes unless masks overlap."""


def _structures(output: Output, target: Target, *, overlapping: bool, term: str) -> _Structures:
    both = pair(output, target, overlapping=overlapping, term=term)
    distance = _distance(target, both, term=term)
    first = 0 if overlapping else 1
    probs = probabilities(both.logits, overlapping=overlapping)[:, first:]
    member, known = memberships(both, overlapping=overlapping)
    return _Structures(
        probs=probs,
        truth=member[:, first:].to(probs.dtype),
        distance=distance[:, first:],
        known=known.to(probs.dtype),
    )


def _mean(values: Float[Tensor, "b k *s"], known: Float[Tensor, "b c *s"]) -> Float[Tensor, ""]:
    """Over the known voxels and all classes; 0 where no voxel has a verdict."""
    return (values * known).sum() / known.expand_as(values).sum().clamp(min=1)


def _distance(target: Target, both: Pair, *, term: str) -> Float[Tensor, "b k *s"]:
    """The map in the precision of the logits; one that is missing or misshapen is a ValueError."""
    if target.distance is None:
        raise ValueError(
            f"{term}: target.distance is None. Fix: make the batches with distance maps, "
            "Batches(..., distance=True)."
        )
    if target.distance.shape != both.logits.shape:
        raise ValueError(
            f"{term}: the distance has shape {tuple(target.distance.shape)} but the logits "
            f"{tuple(both.logits.shape)}. Fix: one map per output channel."
        )
    return target.distance.to(both.logits.dtype)
