"""Several networks as one: the mean of what they say, window by window, or of their weights."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.errors import DataError
from delineate.inference.uncertainty import entropy

__all__ = ["Ensemble", "average_weights"]

BELOW_ALL = -2.0
"""Added to the disagreement, which is at most 1: no probability is ever lower."""


class Ensemble(nn.Module):
    """The mean of the members' probabilities, or of their logits; one member's at a time is held.

    Args:
        networks: Each puts out logits (b, k, *s), or an Output that has them.
        combine: What is averaged, and so what comes out.
        overlapping: Whether classes are told apart one by one (sigmoid) or exclude each other.
        disagreement: Add a channel after the k: how much of the entropy of the mean probabilities
            comes from the members' disagreement, less 2, so that it never is the highest. Only
            with probabilities.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        *,
        combine: Literal["probabilities", "logits"],
        overlapping: bool,
        disagreement: bool = False,
    ) -> None:
        super().__init__()
        if disagreement and combine != "probabilities":
            raise ValueError("disagreement is measured between probabilities, not logits")
        self.members = nn.ModuleList(networks)
        self.combine = combine
        self.overlapping = overlapping
        self.disagreement = disagreement

    def forward(self, image: Tensor) -> Tensor:
        """(b, c, *s) to the mean (b, k, *s), in single precision."""
        share = 1 / len(self.members)
        mean: Tensor | None = None
        own: Tensor | float = 0.0
        for member in self.members:
            scores = self._scores(member, image)
            mean = scores.mul(share) if mean is None else mean.add_(scores, alpha=share)
            if self.disagreement:
                own = own + share * entropy(scores, overlapping=self.overlapping, axis=1)
        assert mean is not None, "an ensemble has members"
        if not self.disagreement:
            return mean
        # A mean of entropies never exceeds the entropy of the mean but for rounding.
        apart = (entropy(mean, overlapping=self.overlapping, axis=1) - own).clamp_(min=0)
        return torch.cat((mean, apart.unsqueeze(1) + BELOW_ALL), dim=1)

    def _scores(self, member: nn.Module, image: Tensor) -> Tensor:
        output = member(image)
        logits = output.logits if isinstance(output, Output) else output
        if logits is None:
            raise ValueError("the network puts out no logits: it cannot draw a mask")
        logits = logits.float()
        if self.combine == "logits":
            return logits
        return logits.sigmoid() if self.overlapping else logits.softmax(dim=1)


def average_weights(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several checkpoints of one architecture, buffers too, as one state dict.

    Floating figures are averaged in double precision and come back in their own type. Whole ones
    that differ are counts of steps, of which the highest is kept. Checkpoints that start from
    common weights average well; those of independent trainings do not, and want an Ensemble.
    Other names or shapes than the first has are a DataError.
    """
    if not states:
        raise ValueError("there are no weights to average")
    first = states[0]
    for number, other in enumerate(states[1:], 2):
        _refuse_another_shape(first, other, number)
    return {name: _mean([state[name] for state in states]) for name in first}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    stack = torch.stack([tensor.detach().cpu() for tensor in tensors])
    if stack.is_floating_point():
        return stack.double().mean(0).to(stack.dtype)
    return stack.amax(0)


def _refuse_another_shape(
    first: Mapping[str, Tensor], other: Mapping[str, Tensor], number: int
) -> None:
    strange = sorted(first.keys() ^ other.keys())
    strange += [n for n in first if n in other and first[n].shape != other[n].shape]
    if strange:
        raise DataError(
            f"weights {number} are of another architecture than weights 1: {len(strange)} tensors "
            f"differ in name or shape (first: {strange[0]}). Fix: average checkpoints of one "
            "training, or of folds with one plan."
        )
