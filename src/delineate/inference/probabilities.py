"""Probabilities of all classes on the scan's own grid, made some rows at a time.

What the network says stays on the plan's grid, in a file without a name, and is interpolated when
it is asked for: classes x voxels are never in memory. Scores are interpolated before they become
probabilities, as for the mask, so that the most probable class is the mask's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch

from delineate.data import Prepared
from delineate.inference.stream import Slab
from delineate.inference.way_back import WayBack
from delineate.io.mapped import MappedArray

__all__ = ["KeptScores", "MeanProbabilities", "Probabilities", "Scale", "to_probabilities"]

Scale = Literal["logits", "probabilities"]
T = TypeVar("T")


class Probabilities(Protocol):
    """Of every network channel at every voxel of the canonical scan, background included."""

    axis: int
    """The spatial axis along which rows are quickest: the slowest one in the scan's file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(k, *s)."""
        ...

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows along the axis one after the other, and (k, *block) float32."""
        ...

    def rows(self, rows: slice) -> np.ndarray:
        """(k, *block) float32 of some rows along the axis."""
        ...


class KeptScores:
    """The scores of one model, as they come from its windows; `see` must be shown all of them.

    Args:
        prepared: The scan.
        channels: The network's own; what comes after them in a slab is left out.
        axis: Along which they will be read.
        scale: What the scores are.
        overlapping: Whether each class has a probability of its own.
        folder: On which disk they are kept; None takes the system's place for such files.
    """

    def __init__(
        self,
        prepared: Prepared,
        channels: int,
        *,
        axis: int,
        scale: Scale,
        overlapping: bool,
        folder: Path | None = None,
    ) -> None:
        self.way = WayBack.of(prepared)
        self.axis = axis
        self.scale: Scale = scale
        self.overlapping = overlapping
        first = self._axis_first(self.way.shape)
        self._kept = MappedArray.nameless((channels, *first), np.float32, folder=folder)

    @property
    def shape(self) -> tuple[int, ...]:
        """(k, *s) on the canonical grid of the scan."""
        return len(self._kept.array), *self.way.source_shape

    def see(self, slab: Slab) -> None:
        """Keep a block of scores."""
        scores = slab.scores[: self.shape[0]].float().cpu().numpy()
        self._kept.write(self._axis_first(slab.place), np.moveaxis(scores, 1 + self.axis, 1))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows along the axis one after the other, and their probabilities."""
        for rows in self.way.row_blocks(self.shape[0], self.axis):
            yield rows, self.rows(rows)

    def rows(self, rows: slice) -> np.ndarray:
        """Of some rows along the axis; outside the crop there is background for certain."""
        shape = list(self.shape)
        shape[1 + self.axis] = rows.stop - rows.start
        found = np.zeros(shape, np.float32)
        if not self.overlapping:
            found[0] = 1
        brought = self.way.bring(self._read, rows, self.axis)
        if brought is not None:
            place, scores = brought
            found[(slice(None), *place)] = to_probabilities(scores, self.scale, self.overlapping)
        return found

    def _read(self, place: tuple[slice, ...]) -> np.ndarray:
        return np.moveaxis(self._kept.read(self._axis_first(place)), 1, 1 + self.axis)

    def _axis_first(self, values: tuple[T, ...]) -> tuple[T, ...]:
        """One value per axis, in the order of the file."""
        return values[self.axis], *values[: self.axis], *values[self.axis + 1 :]


class MeanProbabilities:
    """The mean over several models' probabilities of one scan."""

    def __init__(self, members: Sequence[Probabilities]) -> None:
        self.members = tuple(members)
        self.axis = self.members[0].axis

    @property
    def shape(self) -> tuple[int, ...]:
        """(k, *s) on the canonical grid of the scan."""
        return self.members[0].shape

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows along the axis one after the other, and the mean probabilities."""
        for rows, first in self.members[0].blocks():
            yield rows, self._mean(first, rows)

    def rows(self, rows: slice) -> np.ndarray:
        """Of some rows along the axis."""
        return self._mean(self.members[0].rows(rows), rows)

    def _mean(self, first: np.ndarray, rows: slice) -> np.ndarray:
        for member in self.members[1:]:
            first += member.rows(rows)
        first /= len(self.members)
        return first


def to_probabilities(scores: np.ndarray, scale: Scale, overlapping: bool) -> np.ndarray:
    """Scores (k, *s) as probabilities; may overwrite them."""
    if scale == "probabilities":
        return scores
    tensor = torch.from_numpy(np.ascontiguousarray(scores))
    return (tensor.sigmoid_() if overlapping else tensor.softmax(0)).numpy()
