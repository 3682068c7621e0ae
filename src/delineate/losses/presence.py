"""Losses that know which structures a scan has, whether or not a voxel of them is marked.

Presence compares the image-level answer with what is declared: binary cross-entropy per structure,
or cross-entropy where an image has one class.
AbsenceSuppression is the mean over absent structures of their mean probability, PresentDice the
mean over present ones of 1 - soft Dice: together they tell a false alarm from a miss, each with a
weight of its own.

A structure is present where the mask shows it; one that it does not show is absent unless
`target.presence` says otherwise (one column per structure, background has none, -1 where unknown).
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.labels import IGNORE
from delineate.losses.compare import full_precision, memberships, pair, probabilities
from delineate.losses.sums import RegionLoss, RegionSums

__all__ = ["AbsenceSuppression", "Presence", "PresentDice"]


class Presence:
    """Cross-entropy of the image-level logits; 0 where nothing is declared known (all -1).

    A target of (b, k) 0/1 asks one yes or no per structure, one of (b,) ids one choice of k.
    """

    image_level = True

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        if output.presence is None or target.presence is None:
            missing = "output.presence" if output.presence is None else "target.presence"
            raise ValueError(
                f"Presence: {missing} is None. Fix: take a network with an image-level head and "
                "cases that declare what is present, or leave this term out."
            )
        logits, truth = full_precision(output.presence), target.presence
        if truth.dim() == 1:
            total = F.cross_entropy(logits, truth.long(), ignore_index=IGNORE, reduction="sum")
            return total / (truth >= 0).sum().clamp(min=1)
        if truth.shape != logits.shape:
            raise ValueError(
                f"Presence: the target has shape {tuple(truth.shape)} but the logits "
                f"{tuple(logits.shape)}. Fix: one image-level output per declared structure."
            )
        loss = F.binary_cross_entropy_with_logits(
            logits, truth.clamp(min=0).to(logits.dtype), reduction="none"
        )
        known = (truth >= 0).to(loss.dtype)
        return (loss * known).sum() / known.sum().clamp(min=1)


class AbsenceSuppression:
    """Mean probability of the structures that are absent; 0 where all are present.

    Ignored voxels are outside the mean.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="AbsenceSuppression")
        first = 0 if self.overlapping else 1
        probs = probabilities(both.logits, overlapping=self.overlapping)[:, first:]
        member, known = memberships(both, overlapping=self.overlapping)
        space = tuple(range(2, probs.dim()))
        absent = ~member[:, first:].flatten(2).any(2)
        if target.presence is not None and target.presence.dim() == 2:
            absent = absent & _declared_absent(target.presence, absent)
        counted = known.to(probs.dtype)
        mean = (probs * counted).sum(space) / counted.sum(space).clamp(min=1)
        return (mean * absent).sum() / absent.sum().clamp(min=1)


class PresentDice(RegionLoss):
    """1 - soft Dice, averaged over the structures that are present; 0 where none is.

    A structure that the mask of a patch does not show is left to AbsenceSuppression.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        super().__init__(overlapping=overlapping, batch=False, background=False)

    def of(self, sums: RegionSums) -> Float[Tensor, ""]:
        """The loss that these sums make."""
        present = sums.true > 0
        wrong = 1 - (2 * sums.common + _SMOOTH) / (sums.predicted + sums.true + _SMOOTH)
        return (wrong * present).sum() / present.sum().clamp(min=1)


_SMOOTH = 1e-5


def _declared_absent(
    presence: Float[Tensor, "b c"] | Int[Tensor, "b c"], absent: Bool[Tensor, "b k"]
) -> Bool[Tensor, "b k"]:
    """Where presence is 0; columns that do not fit the structures are a ValueError."""
    if presence.shape != absent.shape:
        raise ValueError(
            f"AbsenceSuppression: target.presence has shape {tuple(presence.shape)} but there are "
            f"{absent.shape[1]} structures in a batch of {len(absent)}. Fix: declare every output "
            "channel but the background."
        )
    return presence == 0
