"""Images of any size for networks that divide the resolution by a fixed number."""

from collections.abc import Sequence
from dataclasses import replace

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.foreign import as_output

__all__ = ["AnySize", "check_axes", "cut", "padded"]


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
        whole = padded(image, self.divisor)
        return cut(as_output(self.network(whole), whole), image, whole)


def check_axes(image: Tensor, axes: int, network: str) -> None:
    """Raise a ValueError in the network's name for an image of other dimensions."""
    if image.dim() != axes + 2:
        raise ValueError(
            f"image: this {network} takes {axes} spatial axes, got the shape {tuple(image.shape)}. "
            f"Fix: pass (b, c, {', '.join('ijk'[:axes])}), or another spatial_dims."
        )


def padded(
    image: Float[Tensor, "b c *s"], divisor: Sequence[int], *, least: int = 1
) -> Float[Tensor, "b c *r"]:
    """The image, its last voxels repeated until each axis is a multiple of its divisor.

    Args:
        least: of the divisor, how many times.
    """
    sizes = zip(image.shape[2:], divisor, strict=True)
    lacking = [max(least * step, -(-n // step) * step) - n for n, step in sizes]
    if not any(lacking):
        return image
    ends = [edge for n in reversed(lacking) for edge in (0, n)]
    return F.pad(image, ends, mode="replicate")


def cut(output: Output, image: Tensor, whole: Tensor) -> Output:
    """What belongs to the image of the output for the padded one, `whole`.

    Coarser logits keep their share of it, rounded up.
    """
    if whole is image or output.logits is None:
        return output
    size, full = image.shape[2:], whole.shape[2:]
    logits, *deep = (_share(x, size, full) for x in (output.logits, *output.deep))
    return replace(output, logits=logits, deep=tuple(deep))


def _share(logits: Tensor, size: Sequence[int], full: Sequence[int]) -> Tensor:
    kept = [-(-s * n // p) for s, n, p in zip(logits.shape[2:], size, full, strict=True)]
    return logits[(..., *(slice(n) for n in kept))].contiguous()
