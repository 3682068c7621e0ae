"""What there is to do for the mask of one scan, in figures: the same whatever the budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from delineate.data import Prepared
from delineate.inference.decision import Matrix, mask_type, matrices_of
from delineate.inference.lines import Line
from delineate.inference.sliding import Windows, lines_of

__all__ = ["Job", "make_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What there is to do, whatever the budget; memory in bytes."""

    patch: tuple[int, ...]
    batch: int
    channels: int
    axis: int
    depth: int
    lines: Sequence[Line]
    matrices: tuple[Matrix, ...]
    old: tuple[int, ...]
    new: tuple[int, ...]
    mask: int
    crop: int
    """One window of the scan."""
    flips: bool
    device: torch.device

    @property
    def scores(self) -> int:
        """One window of scores."""
        return 4 * self.channels * prod(self.patch)


def make_job(
    prepared: Prepared,
    windows: Windows,
    *,
    channels: int,
    threshold: float | None,
    device: torch.device,
) -> Job:
    """The facts of a scan; it is streamed along the axis that makes the sums smallest."""
    old = prepared.shape
    new = tuple(stop - start for start, stop in prepared.box)
    depths = [min(p, n) for p, n in zip(windows.patch, old, strict=True)]
    axis = windows.slice_axis
    if axis is None:
        axis = min(range(len(old)), key=lambda a: depths[a] * prod(old) / old[a])
    layers = 1 if threshold is None else channels
    kind = mask_type(channels) if threshold is None else np.uint8
    return Job(
        patch=windows.patch,
        batch=windows.batch,
        channels=channels,
        axis=axis,
        depth=depths[axis],
        lines=lines_of(windows, old),
        matrices=matrices_of(old, new, separate_axis=prepared.separate_axis),
        old=old,
        new=new,
        mask=layers * prod(prepared.source_shape) * np.dtype(kind).itemsize,
        crop=4 * len(prepared.array) * prod(windows.patch),
        flips=bool(windows.flips),
        device=device,
    )
