"""A loss at every level of a hierarchy of classes.

A union of classes has the log-sum-exp of its leaves' logits as its own. Among exclusive classes its
softmax is then the sum of its leaves' probabilities, exactly. With overlapping masks the odds of
the leaves are summed: a probability between that of the most likely leaf and the chance that any of
independent leaves is there; the mask of a union is 1 where that of any leaf is.

Levels are those of `Labels.levels`: from the roots, class by class opened, to the leaves, which are
the output channels. Classes without children stay in every finer level.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.labels import IGNORE, Labels
from delineate.losses.compare import Pair, pair
from delineate.losses.region import Dice
from delineate.losses.voxel import CrossEntropy, Focal

__all__ = ["Hierarchical", "HierarchicalFocal"]


class Hierarchical:
    """Cross-entropy plus Dice, averaged over the levels of the labels; 0 for a perfect prediction.

    Mistaking a class for its sibling costs at the fine levels only. Labels in which no class unites
    others are a ValueError: there CrossEntropy and Dice say the same.

    Args:
        labels: the classes and their parents; the engine supplies those of the data.
        weights: one per level, coarsest first; None weighs all the same. Only ratios matter.
        dice: factor of Dice beside the cross-entropy of factor 1.
        batch: Dice sums over the whole batch before dividing.
    """

    def __init__(
        self,
        *,
        labels: Labels,
        weights: Sequence[float] | None = None,
        dice: float = 1.0,
        batch: bool = False,
    ) -> None:
        self.overlapping = labels.overlapping
        self.levels = _nested(labels, "Hierarchical", instead="CrossEntropy and Dice")
        self.weights = (1.0,) * len(self.levels) if weights is None else tuple(weights)
        fits = len(self.weights) == len(self.levels)
        if not fits or min(self.weights) < 0 or sum(self.weights) == 0:
            raise ValueError(
                f"Hierarchical: the weights {list(self.weights)} are for {len(self.levels)} "
                "levels. Fix: one weight per level, coarsest first, none below 0, not all 0."
            )
        self.dice = dice
        self._cross_entropy = CrossEntropy(overlapping=self.overlapping)
        self._region = Dice(overlapping=self.overlapping, batch=batch)

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = _leaves(output, target, self.levels, self.overlapping, "Hierarchical")
        losses = [
            weight * self._level(both, groups)
            for weight, groups in zip(self.weights, self.levels, strict=True)
            if weight
        ]
        return torch.stack(losses).sum() / sum(self.weights)

    def _level(self, both: Pair, groups: "Groups") -> Float[Tensor, ""]:
        output, target = _at_level(both, groups, overlapping=self.overlapping)
        loss = self._cross_entropy(output, target)
        return loss + self.dice * self._region(output, target) if self.dice else loss


class HierarchicalFocal:
    """The focal loss of unions, averaged over the levels above the leaves; 0 for a perfect one.

    It stands beside a loss of the leaves, which it leaves out: what is said of siblings does not
    matter, as long as they are siblings. Labels in which no class unites others are a ValueError.

    Args:
        labels: the classes and their parents; the engine supplies those of the data.
        gamma: how fast a voxel loses its weight as the probability of its union rises.
    """

    def __init__(self, *, labels: Labels, gamma: float = 2.0) -> None:
        self.overlapping = labels.overlapping
        self.levels = _nested(labels, "HierarchicalFocal", instead="Focal")
        self._focal = Focal(gamma=gamma, overlapping=self.overlapping)

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = _leaves(output, target, self.levels, self.overlapping, "HierarchicalFocal")
        losses = [
            self._focal(*_at_level(both, groups, overlapping=self.overlapping))
            for groups in self.levels[:-1]
        ]
        return torch.stack(losses).mean()


Groups = tuple[tuple[int, ...], ...]
"""The channels of each class of one level."""


def _nested(labels: Labels, term: str, *, instead: str) -> tuple[Groups, ...]:
    """The levels, of which there must be more than one."""
    if len(labels.levels) < 2:
        raise ValueError(
            f"{term}: no class of the labels unites others. Fix: give classes a 'parent' "
            f"in the labels, or take {instead}."
        )
    return labels.levels


def _leaves(
    output: Output, target: Target, levels: Sequence[Groups], overlapping: bool, term: str
) -> Pair:
    """What is compared, the logits being one a leaf."""
    both = pair(output, target, overlapping=overlapping, term=term)
    channels = sum(len(group) for group in levels[-1])
    if both.logits.shape[1] != channels:
        raise ValueError(
            f"{term}: the labels have {channels} channels but the logits "
            f"{both.logits.shape[1]}. Fix: one output channel per leaf of the labels."
        )
    return both


def _at_level(both: Pair, groups: Groups, *, overlapping: bool) -> tuple[Output, Target]:
    """Logits and mask of the unions of a level."""
    mask = _union_mask(both.mask, groups) if overlapping else _lookup(both.mask, groups)
    return Output(logits=_union_logits(both.logits, groups)), Target(mask=mask)


def _union_logits(logits: Float[Tensor, "b k *s"], groups: Groups) -> Float[Tensor, "b g *s"]:
    if len(groups) == logits.shape[1]:
        return logits
    # Unbound once: the gradient of a slice would be as large as the logits, for each channel.
    channels = logits.unbind(1)
    return torch.stack([_union([channels[c] for c in group]) for group in groups], dim=1)


def _union(members: list[Tensor]) -> Tensor:
    return members[0] if len(members) == 1 else torch.stack(members).logsumexp(0)


def _lookup(ids: Int[Tensor, "b *s"], groups: Groups) -> Int[Tensor, "b *s"]:
    """The number of the group that each voxel's channel is in."""
    place = {channel: i for i, group in enumerate(groups) for channel in group}
    # One entry more: the ignore index -1 looks up the last, itself.
    table = ids.new_tensor([*(place[channel] for channel in range(len(place))), IGNORE])
    return table[ids.long()]


def _union_mask(mask: Float[Tensor, "b k *s"], groups: Groups) -> Float[Tensor, "b g *s"]:
    """1 where any member is, else -1 where any is unknown, else 0."""
    if len(groups) == mask.shape[1]:
        return mask
    members = [mask[:, list(group)] for group in groups]
    highest = torch.stack([m.amax(1) for m in members], dim=1)
    lowest = torch.stack([m.amin(1) for m in members], dim=1)
    return torch.where((highest <= 0.5) & (lowest < 0), lowest, highest)
