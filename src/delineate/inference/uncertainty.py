"""How sure a prediction is, voxel by voxel: from 0, certain, to 1, as unsure as can be.

The entropy of the mean probabilities p is -sum p log p over the classes, divided by the logarithm
of their number. Where classes overlap, each is a yes or no of its own and the most unsure counts.
Disagreement is the part of it that is between the members of an ensemble: the entropy of the mean
less the mean of the members' entropies (mutual information); the rest is what each member by itself
is unsure of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

__all__ = ["Uncertainty", "entropy", "vote_entropy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """Maps on the canonical grid of the scan, (*s) half precision from 0 to 1."""

    entropy: np.ndarray
    disagreement: np.ndarray | None = None
    """None for one network, and for a mean of logits, which has no members' probabilities."""


def entropy(probabilities: Tensor, *, overlapping: bool, axis: int = 0) -> Tensor:
    """Of probabilities with the classes along `axis`, which goes; see the head of this file."""
    if not overlapping:
        own = torch.special.entr(probabilities).sum(axis)
        return own.div_(log(max(2, probabilities.shape[axis]))).clamp_(min=0)
    # A sum of shares may exceed 1 by rounding, and entr(x < 0) is minus infinity.
    rest = (1 - probabilities).clamp_(min=0)
    both = torch.special.entr(probabilities).add_(torch.special.entr(rest))
    return both.amax(axis).div_(log(2)).clamp_(min=0)


def vote_entropy(masks: Sequence[np.ndarray], *, choices: int) -> np.ndarray:
    """The entropy of the members' votes (*s), half precision, from 0 to 1.

    Args:
        masks: One per member, channel indices (*s).
        choices: How many classes there are to vote for, at least 2.
    """
    split = np.zeros(masks[0].shape, bool)
    for mask in masks[1:]:
        split |= mask != masks[0]
    votes = np.stack([mask[split] for mask in masks])
    found = np.zeros(votes.shape[1], np.float64)
    for vote in votes:
        # Each voter adds its share of -sum p log p: p is the part that votes as it does.
        found -= np.log((votes == vote).mean(0)) / len(votes)
    out = np.zeros(masks[0].shape, np.float16)
    out[split] = found / log(choices)
    return out
