"""A network that takes multiples of its stride only, made one for images of any size."""

from collections.abc import Sequence
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.foreign import as_output

__all__ = ["AnySize"]


class AnySize(nn.Module):
    """A network that takes multiples of its stride only, for images of any size.

    The outermost voxels are repeated at the far ends, and what they become is cut off.
    """

    def __init__(self, network: nn.Module, divisor: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.divisor = tuple(divisor)

    def forward(self, image: Tensor) -> Output:
        """Logits of the image's size; coarser ones have their share of it, rounded up."""
        size = image.shape[2:]
        lacking = [-n % d for n, d in zip(size, self.divisor, strict=True)]
        if not any(lacking):
            return as_output(self.network(image))
        ends = [edge for n in reversed(lacking) for edge in (0, n)]
        padded = F.pad(image, ends, mode="replicate")
        output = as_output(self.network(padded), padded)
        if output.logits is None:
            return output
        deep = tuple(_cut(logits, size, padded.shape[2:]) for logits in output.deep)
        return replace(output, logits=_cut(output.logits, size, padded.shape[2:]), deep=deep)


def _cut(logits: Tensor, size: Sequence[int], padded: Sequence[int]) -> Tensor:
    """The part of logits that belongs to an image of `size` that was padded."""
    kept = [-(-s * n // p) for s, n, p in zip(logits.shape[2:], size, padded, strict=True)]
    return logits[(..., *(slice(n) for n in kept))]
