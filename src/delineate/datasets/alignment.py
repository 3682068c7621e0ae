"""Whether two scans lie on one grid, and if not, what sets them apart: shape, spacing, shift."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from delineate.io import Volume

__all__ = ["Misfit", "codes", "is_degenerate", "misfit"]

_SAME = 0.01
"""Corners this part of a voxel apart are the same: what float32 headers do to an affine."""
_NOISE = 0.1
_SAME_MM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """How one scan's grid differs from another's."""

    kind: str
    """'shape-mismatch', 'grid-mismatch' or 'grid-noise'."""
    text: str
    """A clause that follows the name of the other scan: `is 10x10x9 but ...`."""
    voxels: float
    """The largest distance between corners, in voxels of the first; infinite if shapes differ."""
    mm: float


def misfit(first: Volume, second: Volume, *, name: str) -> Misfit | None:
    """How the grid of `second` differs from that of `first`, called `name`; None if hardly.

    Both are compared in canonical axes, so the order in which a file stores its axes is no matter.
    """
    if first.shape != second.shape:
        text = _shapes(first, second, name)
        return Misfit(kind="shape-mismatch", text=text, voxels=np.inf, mm=np.inf)
    apart = _corners(second) - _corners(first)
    mm = float(np.linalg.norm(apart, axis=1).max())
    voxel = min(first.spacing)
    if mm <= max(_SAME_MM, _SAME * voxel):
        return None
    kind = "grid-noise" if mm <= _NOISE * voxel else "grid-mismatch"
    text = "; ".join(_differences(first, second, name)) + (
        f": its corners are up to {mm:.3g} mm ({mm / voxel:.3g} voxels) from those of {name}"
    )
    return Misfit(kind=kind, text=text, voxels=mm / voxel, mm=mm)


def codes(affine: np.ndarray, dims: int) -> str:
    """Where each axis of a file leads, such as LPS; empty for pictures."""
    if dims != 3:
        return ""
    letters = (("L", "R"), ("P", "A"), ("I", "S"))
    columns = affine[:3, :3].T
    return "".join(letters[w][int(c[w] > 0)] for c in columns for w in [int(np.abs(c).argmax())])


def is_degenerate(volume: Volume) -> bool:
    """Whether the affine gives the voxels no volume, or is not finite."""
    matrix = volume.affine[:3, :3]
    if not np.isfinite(volume.affine).all():
        return True
    lengths = np.linalg.norm(matrix, axis=0)
    return bool(lengths.min() <= 0 or abs(np.linalg.det(matrix / lengths)) < 1e-3)


def _corners(volume: Volume) -> np.ndarray:
    """The eight outermost voxel centres, in mm."""
    ends = [(0, n - 1) for n in volume.shape] + [(0,)] * (3 - len(volume.shape))
    indices = np.array([(*corner, 1) for corner in product(*ends)], dtype=np.float64)
    return (indices @ volume.affine.T)[:, :3]


def _shapes(first: Volume, second: Volume, name: str) -> str:
    text = f"is {_cross(second.shape)} but {name} is {_cross(first.shape)}"
    dims = len(first.shape)
    if dims == len(second.shape):
        if np.allclose(first.spacing, second.spacing, rtol=1e-3):
            text += " (their spacing agrees)"
        else:
            text += f" ({_cross_mm(second)} against {_cross_mm(first)})"
        if sorted(first.shape) == sorted(second.shape):
            text += "; it looks like the same grid with its axes in another order"
    return text


def _differences(first: Volume, second: Volume, name: str) -> list[str]:
    """What sets two grids of one shape apart, the plainest cause first."""
    found = []
    dims = len(first.shape)
    if not np.allclose(first.spacing, second.spacing, rtol=1e-3):
        found.append(f"has voxels of {_cross_mm(second)}, {name} of {_cross_mm(first)}")
    own, other = codes(second.source.affine, dims), codes(first.source.affine, dims)
    if own != other:
        found.append(f"has file axes {own}, {name} {other}: {_axis_words(own, other)}")
    turn = _turn(first, second)
    if turn > 0.05:
        found.append(f"is turned by {turn:.2g} degrees against {name}")
    if found:
        return found
    shift = second.affine[:3, 3] - first.affine[:3, 3]
    steps = _figures(np.linalg.solve(first.affine[:3, :3], shift)[:dims])
    return [f"is shifted against {name} by {_figures(shift[:dims])} mm, {steps} voxels"]


def _axis_words(own: str, other: str) -> str:
    flipped = [
        f"axis {i} ({b}-{a})" for i, (a, b) in enumerate(zip(own, other, strict=True)) if a != b
    ]
    if sorted(own) != sorted(other) and all(
        _opposite(a, b) for a, b in zip(own, other, strict=True)
    ):
        return f"its header flips {' and '.join(flipped)}"
    return "its header puts the axes in another order"


def _opposite(a: str, b: str) -> bool:
    return a == b or {a, b} in ({"L", "R"}, {"P", "A"}, {"I", "S"})


def _turn(first: Volume, second: Volume) -> float:
    """The angle between the directions of two grids, in degrees."""
    a, b = (v.affine[:3, :3] / np.linalg.norm(v.affine[:3, :3], axis=0) for v in (first, second))
    cosine = (np.trace(a.T @ b) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _cross(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _cross_mm(volume: Volume) -> str:
    return "x".join(f"{mm:.4g}" for mm in volume.spacing) + " mm"


def _figures(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{round(float(v), 3) + 0:.3g}" for v in values) + ")"
