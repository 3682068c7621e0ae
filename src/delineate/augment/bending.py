"""Cubic B-splines that bend a patch: their grid of control points, and how far each one moves.

The grid lies on the patch and is as fine in mm along each axis.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from delineate.augment.separable import along_axes, smooth_basis
from delineate.augment.transform import Draw, Frame

__all__ = ["bend", "bending_bases", "bending_control", "interval_mm"]


def bend(
    points: list[Tensor], control: Float[Tensor, " d *k"], frame: Frame, *, intervals: int
) -> list[Tensor]:
    """Each point moved by the field at its place in the patch; `control` is in mm."""
    bases = bending_bases(frame, intervals=intervals)
    field = along_axes(control, bases).to(points[0].device)
    rows = dict(zip(frame.plane, field, strict=True))
    return [
        torch.add(p, rows[axis], alpha=1 / frame.spacing[axis]) if axis in rows else p
        for axis, p in enumerate(points)
    ]


def interval_mm(frame: Frame, intervals: int) -> float:
    """Between two control points, which cut the longest side of the plane into `intervals`."""
    return max((frame.patch[a] - 1) * frame.spacing[a] for a in frame.plane) / intervals


def bending_bases(frame: Frame, *, intervals: int) -> list[Tensor]:
    """One matrix (voxels, control points) an axis."""
    knots = _knots(frame, intervals)
    return [smooth_basis(n, k) for n, k in zip(frame.patch, knots, strict=True)]


def bending_control(draw: Draw, frame: Frame, *, intervals: int) -> Float[Tensor, " d *k"]:
    """The displacement of each control point in mm along the axes of the plane.

    Uniform, at most `strength` intervals either way, from the draw's seed.
    """
    shape = (len(frame.plane), *(k + 2 for k in _knots(frame, intervals)))
    rng = np.random.Generator(np.random.Philox(key=draw["seed"]))
    control = rng.uniform(-1, 1, shape) * draw["strength"] * interval_mm(frame, intervals)
    return torch.from_numpy(control.astype(np.float32))


def _knots(frame: Frame, intervals: int) -> list[int]:
    lengths = ((n - 1) * mm for n, mm in zip(frame.patch, frame.spacing, strict=True))
    interval = interval_mm(frame, intervals)
    # Rounded down: intervals are never shorter than the strength was measured against.
    return [max(int(length / interval + 1e-6), 1) + 1 for length in lengths]
