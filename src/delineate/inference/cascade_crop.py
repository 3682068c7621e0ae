"""A part of a scan as a scan of its own: the same voxels in the same place, with less around."""

import math
from collections.abc import Sequence

import numpy as np

from delineate.geometry import Box, slices
from delineate.io.volume import Grid, Volume

__all__ = ["crop", "grow", "inside"]


def crop(volume: Volume, box: Box) -> Volume:
    """The box of a scan, in canonical axes; its source runs along the axes of the scan's file."""
    affine = _shifted(volume.affine, [start for start, _ in box])
    return Volume(
        array=volume.array[(slice(None), *slices(box))],
        affine=affine,
        source=_source(volume, box),
    )


def grow(box: Box, margin_mm: float, volume: Volume) -> Box:
    """The box with a margin on every side, within the scan."""
    grown = []
    for (start, stop), mm, size in zip(box, volume.spacing, volume.shape, strict=True):
        margin = math.ceil(margin_mm / mm)
        grown.append((max(0, start - margin), min(size, stop + margin)))
    return tuple(grown)


def inside(outer: Box, box: Box) -> Box:
    """A box that is given from the corner of another one, from the corner of the scan."""
    return tuple(
        (start + corner, stop + corner)
        for (corner, _), (start, stop) in zip(outer, box, strict=True)
    )


def _source(volume: Volume, box: Box) -> Grid:
    """The same box on the grid of the file: its axes are the canonical ones, turned and flipped."""
    to_file = np.linalg.inv(volume.source.affine) @ volume.affine
    corners = np.zeros((2, 4))
    corners[:, 3] = 1
    corners[0, : len(box)] = [start for start, _ in box]
    corners[1, : len(box)] = [stop - 1 for _, stop in box]
    ends = np.rint(corners @ to_file.T)[:, : len(box)].astype(int)
    start = ends.min(axis=0)
    shape = tuple((ends.max(axis=0) - start + 1).tolist())
    return Grid(shape=shape, affine=_shifted(volume.source.affine, start.tolist()))


def _shifted(affine: np.ndarray, start: Sequence[int]) -> np.ndarray:
    """The affine of an array that begins at that voxel."""
    moved = affine.copy()
    moved[:, 3] = affine @ [*start, *(0,) * (3 - len(start)), 1]
    return moved
