"""The outlines of structures: how far the slopes of the prediction are from those of the truth.

With probabilities p, truth g and their error e = p - g, and D_a the difference of a voxel and its
neighbour behind it along the axis a:

    mean over pairs of neighbours of 1/2 sum over classes of (D_a p - D_a g)^2

Among exclusive classes an edge that is missed costs 1 and so does one that is invented. With
overlapping masks each class has a decision of its own: the mean over pairs and classes, without the
half. Classes are compared one by one, so their ids and order do not matter, and the truth is the
minimum, 0. A pair of which either voxel has no verdict does not count.

D is linear, D p - D g = D e, so one tensor of the logits' size is kept for the backward pass, and
nothing else is ever larger than some classes at a time.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from delineate.contracts import Output, Target
from delineate.losses.compare import Pair, pair

__all__ = ["Edges"]

_AT_ONCE = 8
"""Classes."""


class Edges:
    """Mean squared difference of slopes; 0 for a perfect prediction, and where nothing is known.

    It is blind to an error that is the same everywhere: add it to a loss of voxels.

    Args:
        overlapping: sigmoid and multi-hot masks instead of softmax and ids.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self.overlapping = overlapping

    def __call__(self, output: Output, target: Target) -> Float[Tensor, ""]:
        """The loss of one batch."""
        both = pair(output, target, overlapping=self.overlapping, term="Edges")
        return _SlopeError.apply(both.logits, both.mask, self.overlapping)


class _SlopeError(torch.autograd.Function):
    """Forward and backward written out: see above."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, mask: Tensor, overlapping: bool) -> Tensor:
        both = Pair(logits, mask)
        error = logits.sigmoid() if overlapping else logits.softmax(1)
        total = logits.new_zeros(())
        count = logits.new_zeros(())
        for channels, truth, known in _some_classes(both, overlapping):
            part = error[:, channels]
            part.sub_(truth)
            for axis in range(2, logits.dim()):
                pairs = _pairs(known, axis)
                slope = part.diff(dim=axis)
                total += slope.square_().mul_(pairs).sum()
                if overlapping or channels.start == 0:
                    count += pairs.sum()
        ctx.save_for_backward(error, mask, count)
        ctx.overlapping = overlapping
        return total * (1.0 if overlapping else 0.5) / count.clamp(min=1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        error, mask, count = ctx.saved_tensors
        both = Pair(error, mask)
        gradient = torch.zeros_like(error)
        mean = torch.zeros_like(error[:, :1])
        for channels, truth, known in _some_classes(both, ctx.overlapping):
            part, own = error[:, channels], gradient[:, channels]
            for axis in range(2, error.dim()):
                slope = part.diff(dim=axis).mul_(_pairs(known, axis))
                length = error.shape[axis]
                own.narrow(axis, 1, length - 1).add_(slope)
                own.narrow(axis, 0, length - 1).sub_(slope)
            probs = part + truth
            if ctx.overlapping:
                own.mul_(2 * probs * (1 - probs))
            else:
                own.mul_(probs)
                mean.add_(own.sum(1, keepdim=True))
        scale = slopes[0] / count.clamp(min=1)
        if not ctx.overlapping:
            for channels, truth, _ in _some_classes(both, overlapping=False):
                gradient[:, channels].sub_((error[:, channels] + truth).mul_(mean))
        return gradient.mul_(scale), None, None


def _some_classes(
    both: Pair, overlapping: bool
) -> Iterator[tuple[slice, Float[Tensor, "b k *s"], Float[Tensor, "b c *s"]]]:
    """Channels, their truth and where it is known (c is 1 among exclusive classes), 0 or 1."""
    logits, mask = both
    kind = logits.dtype
    for start in range(0, logits.shape[1], _AT_ONCE):
        channels = slice(start, min(start + _AT_ONCE, logits.shape[1]))
        if overlapping:
            own = mask[:, channels]
            yield channels, (own > 0.5).to(kind), (own >= 0).to(kind)
        else:
            ids = torch.arange(channels.start, channels.stop, device=mask.device, dtype=mask.dtype)
            own = mask[:, None] == ids.view(-1, *(1 for _ in mask.shape[1:]))
            yield channels, own.to(kind), (mask >= 0)[:, None].to(kind)


def _pairs(known: Float[Tensor, "b c *s"], axis: int) -> Float[Tensor, "b c *r"]:
    """1 where neighbours along an axis are both known."""
    length = known.shape[axis]
    return known.narrow(axis, 1, length - 1) * known.narrow(axis, 0, length - 1)
