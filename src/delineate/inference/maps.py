"""Maps of uncertainty gathered block by block, while the scores of a scan are completed."""

from math import prod

import numpy as np

from delineate.data import Prepared
from delineate.inference.ensemble import BELOW_ALL
from delineate.inference.probabilities import MeanProbabilities, Scale
from delineate.inference.stream import Slab
from delineate.inference.uncertainty import Uncertainty, entropy
from delineate.inference.way_back import WayBack

__all__ = ["Maps", "measure_committee"]

_PIECE = 1 << 22
"""Figures of all channels whose entropy is taken at a time."""


class Maps:
    """Entropy, and disagreement where there is a channel of it; `see` must be shown all scores.

    They are taken on the plan's grid and interpolated linearly to that of the scan.

    Args:
        prepared: The scan.
        channels: The network's own; one more in a slab is the members' disagreement.
        scale: What the scores are.
        overlapping: Whether each class has a probability of its own.
        members_differ: Whether slabs have that channel.
    """

    def __init__(
        self,
        prepared: Prepared,
        channels: int,
        *,
        scale: Scale,
        overlapping: bool,
        members_differ: bool,
    ) -> None:
        self.way = WayBack.of(prepared)
        self.channels = channels
        self.scale = scale
        self.overlapping = overlapping
        self._maps = np.zeros((1 + members_differ, *self.way.shape), np.float32)

    @property
    def nbytes(self) -> int:
        """What the maps take while they are gathered."""
        return self._maps.nbytes

    def see(self, slab: Slab) -> None:
        """Note the uncertainty of a block of scores."""
        target = self._maps[(slice(None), *slab.place)]
        row = prod(slab.scores.shape[:1] + slab.scores.shape[2:])
        step = max(1, _PIECE // max(1, row))
        for start in range(0, slab.scores.shape[1], step):
            rows = slice(start, start + step)
            scores = slab.scores[: self.channels, rows].float()
            if self.scale == "logits":
                scores = scores.sigmoid() if self.overlapping else scores.softmax(0)
            target[0, rows] = entropy(scores, overlapping=self.overlapping).cpu().numpy()
            if len(target) > 1:
                apart = slab.scores[self.channels, rows].float() - BELOW_ALL
                target[1, rows] = apart.clamp(0, 1).cpu().numpy()

    def finish(self) -> Uncertainty:
        """The maps on the grid of the scan; the empty border that was cut away is certain."""
        found = np.zeros((len(self._maps), *self.way.source_shape), np.float16)
        for rows in self.way.row_blocks(len(self._maps)):
            brought = self.way.bring(lambda place: self._maps[(slice(None), *place)], rows)
            if brought is not None:
                place, figures = brought
                found[:, rows][(slice(None), *place)] = figures
        return Uncertainty(entropy=found[0], disagreement=found[1] if len(found) > 1 else None)


def measure_committee(mean: MeanProbabilities, *, overlapping: bool) -> Uncertainty:
    """Entropy and disagreement of models that meet on the scan's own grid."""
    import torch

    found = np.zeros((2, *mean.shape[1:]), np.float16)
    for rows, probabilities in mean.blocks():
        total = entropy(torch.from_numpy(probabilities), overlapping=overlapping)
        own = torch.zeros_like(total)
        for member in mean.members:
            said = torch.from_numpy(member.rows(rows))
            own += entropy(said, overlapping=overlapping) / len(mean.members)
        place = (slice(None),) * mean.axis + (rows,)
        found[(0, *place)] = total.numpy()
        found[(1, *place)] = (total - own).clamp(min=0).numpy()
    return Uncertainty(entropy=found[0], disagreement=found[1])
