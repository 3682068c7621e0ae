"""How far an exported network is from the one that was trained, on the same windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.errors import DelineateError
from delineate.export.scores import Scores

__all__ = ["MOST_CHANGED", "TOLERANCE", "Difference", "ExportDiffers", "measure", "refuse_far"]

TOLERANCE = 1e-3
"""The largest difference that is taken for rounding, as a share of the largest score."""
MOST_CHANGED = 1e-3
"""The largest share of voxels whose class may change: near-equal scores fall either way."""


class ExportDiffers(DelineateError):
    """What was exported does not compute what the trained network does; nothing is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Over all windows that were compared."""

    largest: float
    """Between two scores of one voxel and class."""
    scale: float
    """The largest absolute score of the trained network."""
    changed: int
    """Voxels whose class, or one of whose classes, is another."""
    voxels: int
    source: str
    """What was compared on."""

    @property
    def share(self) -> float:
        """Of voxels whose class changes."""
        return self.changed / max(1, self.voxels)

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest:.2g} of scores up to {self.scale:.3g}; "
            f"the class changes in {self.changed} of {self.voxels} voxels "
            f"({100 * self.share:.3g} %), on {self.source}"
        )


@torch.no_grad()
def measure(
    scores: Scores, exported: Callable[[Tensor], Tensor], batches: Sequence[Tensor], source: str
) -> Difference:
    """Both on every batch; a result of another shape or without a value is an ExportDiffers."""
    largest, scale, changed, voxels = 0.0, 0.0, 0, 0
    for batch in batches:
        own, other = scores.network(batch), exported(batch)
        if own.shape != other.shape:
            raise ExportDiffers(
                f"the exported network gives {tuple(other.shape)} for {tuple(batch.shape)}, the "
                f"trained one {tuple(own.shape)}. Nothing is written."
            )
        gap = (own - other).abs().max().item()
        # NaN is no number to compare: it counts as infinitely far.
        largest = max(largest, gap if gap == gap else float("inf"))
        scale = max(scale, own.abs().max().item())
        differs = scores.classes(own) != scores.classes(other)
        if scores.threshold is not None:
            differs = differs.any(dim=1)
        changed += int(differs.sum())
        voxels += differs.numel()
    return Difference(largest=largest, scale=scale, changed=changed, voxels=voxels, source=source)


def refuse_far(difference: Difference, what: str) -> None:
    """An export beyond the stated tolerance is an ExportDiffers."""
    if difference.largest <= TOLERANCE * difference.scale and difference.share <= MOST_CHANGED:
        return
    raise ExportDiffers(
        f"{what}: not written, as it computes something else than the trained network: "
        f"{difference}. Tolerated are {TOLERANCE:g} of the largest score and {MOST_CHANGED:.1%} "
        "of the voxels. Fix: another release of PyTorch or of the exporter; or predict with the "
        "package itself."
    )
