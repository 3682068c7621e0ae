"""The mask of one scan in bounded memory: scores are decided as soon as they are complete.

Windows are summed in a ring as deep as a window along one axis (`sums.py`), row after row is
brought to the scan's grid and decided (`decision.py`), and the scores are forgotten. Scores of all
classes never exist for the whole scan. What does not fit in the budget even so is cut into tiles
across that axis (`tiles.py`, `forecast.py`).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from delineate.data import Prepared
from delineate.geometry import slices
from delineate.inference.allocator import freed_memory_kept
from delineate.inference.crops import Crops
from delineate.inference.decision import Decision, Matrix, mask_type, matrices_of
from delineate.inference.forecast import Forecast, foresee
from delineate.inference.lines import Line
from delineate.inference.sliding import Network, Windows, lines_of, slabs
from delineate.inference.sums import Sums
from delineate.inference.tiles import Tile

__all__ = ["Slab", "Watch", "predict_mask"]

log = logging.getLogger("delineate")


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A block of complete scores."""

    place: tuple[slice, ...]
    """Where it lies on the plan's grid."""
    scores: Tensor
    """(k, *block), the mean over all windows, on the device of the sums and of their precision.
    It is overwritten afterwards."""


Watch = Callable[[Slab], None]


def predict_mask(
    network: Network,
    prepared: Prepared,
    windows: Windows,
    *,
    channels: int,
    threshold: float | None,
    device: torch.device | str = "cpu",
    memory_gb: float | None = None,
    watch: Watch | None = None,
) -> np.ndarray:
    """Channel indices (*s), or (k, *s) 0/1, on the scan's canonical grid; 0 outside the crop.

    Args:
        network: In evaluation mode, on `device`.
        prepared: The scan.
        windows: How it is cut; fewer windows than its `batch` go together where memory is short.
        channels: How many the network puts out.
        threshold: None: the highest score wins. Otherwise each class is set where its score
            exceeds it: 0 for logits, 0.5 for probabilities.
        device: Where windows are predicted.
        memory_gb: What the process may hold at its peak, and what it may take of the card: see
            `foresee`, which says what will be done. None is most of what is free.
        watch: Is shown every voxel of the plan's grid once, in blocks, as its scores are completed.
    """
    forecast = foresee(
        network,
        prepared,
        windows,
        channels=channels,
        threshold=threshold,
        device=device,
        memory_gb=memory_gb,
    )
    for note in forecast.notes:
        log.info("%s", note)
    layers = () if threshold is None else (channels,)
    kind = mask_type(channels) if threshold is None else np.uint8
    mask = np.zeros((*layers, *prepared.source_shape), kind)
    inside = mask[(..., *slices(prepared.box))]
    matrices = matrices_of(
        prepared.shape,
        tuple(stop - start for start, stop in prepared.box),
        separate_axis=prepared.separate_axis,
    )
    scan = _scan(network, prepared, windows, forecast, channels=channels, device=device)
    with freed_memory_kept() if forecast.spare else nullcontext():
        for tile in forecast.tiling.tiles:
            decision = Decision(
                inside[(..., *slices(tile.target))],
                _cut(matrices, tile),
                axis=forecast.axis,
                threshold=threshold,
            )
            _decide(scan.slabs(tile), tile, decision, watch)
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """What the tiles of a scan share."""

    network: Network
    crops: Crops
    windows: Windows
    lines: list[Line]
    channels: int
    forecast: Forecast

    def slabs(self, tile: Tile) -> Iterator[tuple[int, Tensor]]:
        """The complete scores of the tile's box, slab by slab."""
        axis = self.forecast.axis
        sums = Sums(
            self.channels,
            tile.box,
            axis=axis,
            depth=self.windows.patch[axis],
            kind=self.forecast.sums,
            device=self.forecast.sums_device,
        )
        return slabs(self.network, self.crops, sums, windows=self.windows, lines=self.lines)


def _scan(
    network: Network,
    prepared: Prepared,
    windows: Windows,
    forecast: Forecast,
    *,
    channels: int,
    device: torch.device | str,
) -> _Scan:
    windows = replace(windows, batch=forecast.batch)
    image = torch.from_numpy(prepared.array)
    where = torch.empty(0, device=device).device
    return _Scan(
        network=network,
        crops=Crops(image, windows.patch, batch=windows.batch, device=where),
        windows=windows,
        lines=lines_of(windows, prepared.shape, forecast.sums_device),
        channels=channels,
        forecast=forecast,
    )


def _decide(
    found: Iterator[tuple[int, Tensor]], tile: Tile, decision: Decision, watch: Watch | None
) -> None:
    """Decide a tile; what belongs to it alone is shown."""
    for start, slab in found:
        decision.take(start, slab)
        if watch is not None:
            watch(_shown(start, slab, tile, decision.axis))


def _shown(start: int, slab: Tensor, tile: Tile, axis: int) -> Slab:
    place = [slice(*own) for own in tile.own]
    place[axis] = slice(start, start + slab.shape[1 + axis])
    inside = [
        slice(at.start - low, at.stop - low) for at, (low, _) in zip(place, tile.box, strict=True)
    ]
    inside[axis] = slice(None)
    return Slab(tuple(place), slab[(slice(None), *inside)])


def _cut(matrices: Sequence[Matrix], tile: Tile) -> list[Matrix]:
    """The part of each matrix that brings the tile's scores to its voxels."""
    return [
        None if matrix is None else matrix[slice(*target), slice(*box)]
        for matrix, target, box in zip(matrices, tile.target, tile.box, strict=True)
    ]
