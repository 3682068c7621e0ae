"""A loss at every level of a hierarchy of classes.

A union of classes has the log-sum-exp of its leaves' logits as its own. Among exclusive classes its
softmax is then the sum of its leaves' probabilities, exactly. With overlapping masks the odds of
the leaves are summed: a probability between that of the most likely leaf and the chance that any of
independent leaves is there; the mask of a union is 1 where that of any leaf is.

Levels: the coarsest knows roots only; each next one opens every class that still has children into
itself (if it has an id of its own) and them; the finest knows leaves only, which are the output
channels. Classes without children stay in every finer level.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.labels import IGNORE, Labels
from delineate.losses.compare import Pair, pair
from delineate.losses.region import Dice
from delineate.losses.voxel import CrossEntropy

__all__ = ["Hierarchical"]


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
        self.levels = levels(labels)
        if len(self.levels) < 2:
            raise ValueError(
                "Hierarchical: no class of the labels unites others. Fix: give classes a 'parent' "
                "in the labels, or take CrossEntropy and Dice."
            )
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
        both = pair(output, target, overlapping=self.overlapping, term="Hierarchical")
        channels = sum(len(group) for group in self.levels[-1])
        if both.logits.shape[1] != channels:
            raise ValueError(
                f"Hierarchical: the labels have {channels} channels but the logits "
                f"{both.logits.shape[1]}. Fix: one output channel per leaf of the labels."
            )
        losses = [
            weight * self._level(both, groups)
            for weight, groups in zip(self.weights, self.levels, strict=True)
            if weight
        ]
        return torch.stack(losses).sum() / sum(self.weights)

    def _level(self, both: Pair, groups: "Groups") -> Float[Tensor, ""]:
        logits = _union_logits(both.logits, groups)
        mask = _union_mask(both.mask, groups) if self.overlapping else _lookup(both.mask, groups)
        output, target = Output(logits=logits), Target(mask=mask)
        loss = self._cross_entropy(output, target)
        return loss + self.dice * self._region(output, target) if self.dice else loss


Groups = tuple[tuple[int, ...], ...]
"""The channels of each class of one level."""


def levels(labels: Labels) -> tuple[Groups, ...]:
    """The classes of each level as groups of channels, coarsest level first, no level twice.

    Among exclusive classes the background is the first group of every level.
    """
    parents = {c.name: c.parent for c in labels.classes}
    start = 0 if labels.overlapping else 1
    lines = [_line(leaf.name, parents) for leaf in labels.leaves]
    found: list[Groups] = []
    for depth in range(max(map(len, lines), default=0)):
        groups: dict[str, list[int]] = {}
        for channel, line in enumerate(lines, start):
            groups.setdefault(line[min(depth, len(line) - 1)], []).append(channel)
        found.append((*(((0,),) if start else ()), *map(tuple, groups.values())))
    return tuple(dict.fromkeys(found))


def _line(name: str, parents: dict[str, str | None]) -> list[str]:
    """From the root down to the class."""
    line = [name]
    while (parent := parents[line[0]]) is not None:
        line.insert(0, parent)
    return line


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
