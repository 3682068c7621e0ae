"""Where windows lie along one axis, and what each of their voxels weighs.

The weight is a Gaussian with a deviation of 1/8 of the window along each axis. Window positions
form a grid, so the sum of all weights is a product of one line per axis: dividing each axis's
weights by their sum beforehand makes every window a single multiply-and-add in place, with no sum
of weights to keep and no last division.
"""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

__all__ = ["Line", "make_line"]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The windows along one axis, evenly spread from border to border."""

    starts: tuple[int, ...]
    """In voxels of the scan; negative where the scan is smaller than the window."""
    weights: Tensor
    """(windows, patch) float32: they add up to 1 at every voxel of the axis."""

    @property
    def patch(self) -> int:
        """Voxels of a window along the axis."""
        return self.weights.shape[1]

    def touching(self, start: int, stop: int) -> list[int]:
        """The windows that hold any of the voxels start..stop."""
        return [i for i, a in enumerate(self.starts) if a < stop and a + self.patch > start]


def make_line(size: int, patch: int, overlap: float) -> Line:
    """The windows over `size` voxels; one that is larger than that lies in their middle."""
    padded = max(size, patch)
    number = 1 + ceil((padded - patch) / max(1.0, patch * (1 - overlap)))
    starts = [round(i * (padded - patch) / max(1, number - 1)) for i in range(number)]
    place = torch.arange(patch, dtype=torch.float64)
    weight = torch.exp(-0.5 * ((place - (patch - 1) / 2) / (patch / 8)) ** 2)
    total = torch.zeros(padded, dtype=torch.float64)
    for start in starts:
        total[start : start + patch] += weight
    weights = torch.stack([weight / total[start : start + patch] for start in starts])
    before = (padded - size) // 2
    return Line(tuple(start - before for start in starts), weights.float())
