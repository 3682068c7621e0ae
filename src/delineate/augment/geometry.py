"""Where points go: affine maps and elastic bending, meant in millimetres, counted in voxels."""

from math import cos, prod, radians, sin

import numpy as np
from torch import Tensor

from delineate.augment.bending import bend, bending_control, interval_mm
from delineate.augment.limits import check_number, check_probability, check_range
from delineate.augment.transform import Draw, Frame, Geometric, Range, around_one, draw_seed

__all__ = ["Affine", "Elastic"]


class Affine(Geometric):
    """Rotation, scaling and shift in mm; stacks of thick slices move within their plane only.

    Args:
        rotation_degrees: largest angle about each axis, either way.
        scale: size of structures afterwards, over before; half of the draws shrink, half enlarge.
        anisotropy: each axis takes an extra factor of up to 1 + anisotropy either way.
        translation: largest shift along each axis, as a share of the patch.
        probability: of rotating, of scaling and of shifting, drawn one by one.
    """

    def __init__(
        self,
        *,
        rotation_degrees: float = 30.0,
        scale: Range = (0.7, 1.4),
        anisotropy: float = 0.0,
        translation: float = 0.0,
        probability: float = 0.2,
    ) -> None:
        check_number(self, "rotation_degrees", rotation_degrees, low=0, high=180)
        check_range(self, "scale", scale, low=0.01)
        check_number(self, "anisotropy", anisotropy, low=0)
        check_number(self, "translation", translation, low=0, high=1)
        check_probability(self, probability)
        self.rotation_degrees = rotation_degrees
        self.scale = scale
        self.anisotropy = anisotropy
        self.translation = translation
        self.probability = probability

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """Angles in degrees, one a pair of axes; factors and shifts, one an axis."""
        rotate, scale, shift = rng.random(3) < self.probability
        shift = shift and self.translation > 0
        if not (rotate or scale or shift):
            return None
        dims = len(frame.patch)
        angles, factors, shifts = [0.0] * len(_pairs(dims)), [1.0] * dims, [0.0] * dims
        common = around_one(rng, self.scale)
        extra = np.exp(rng.uniform(-1, 1, dims) * np.log1p(self.anisotropy))
        turns = rng.uniform(-1, 1, len(angles)) * self.rotation_degrees
        steps = rng.uniform(-1, 1, dims) * self.translation
        for axis in frame.plane:
            factors[axis] = float(common * extra[axis]) if scale else 1.0
            shifts[axis] = float(steps[axis]) if shift else 0.0
        for n, pair in enumerate(_pairs(dims)):
            if rotate and set(pair) <= set(frame.plane):
                angles[n] = float(turns[n])
        return {"rotation_degrees": angles, "scale": factors, "shift": shifts}

    def pull(self, points: list[Tensor], draw: Draw, frame: Frame) -> list[Tensor]:
        """Back through shift, rotation and scaling."""
        shifted = [
            p - share * size if share else p
            for p, share, size in zip(points, draw["shift"], frame.patch, strict=True)
        ]
        turn = _rotation(draw["rotation_degrees"], len(points))
        spacing = np.array(frame.spacing)
        matrix = turn.T / np.array(draw["scale"])[:, None] * spacing / spacing[:, None]
        return [_combine(row, shifted) for row in matrix]

    def growth(self, draw: Draw) -> float:
        """The geometric mean of the axes' factors."""
        return prod(draw["scale"]) ** (1 / len(draw["scale"]))

    def reach(self, frame: Frame) -> tuple[float, ...]:
        """From the largest single turn, the smallest scale and the largest shift."""
        length = [n * mm for n, mm in zip(frame.patch, frame.spacing, strict=True)]
        angle = radians(min(self.rotation_degrees, 45.0))
        shrink = max(1.0, (1 + self.anisotropy) / self.scale[0])
        factors = [1.0] * len(length)
        for a in frame.plane:
            longest = max(length[b] for b in frame.plane if b != a) if len(frame.plane) > 1 else 0
            turned = max(1.0, cos(angle) + sin(angle) * longest / length[a])
            factors[a] = turned * shrink + 2 * self.translation
        return tuple(factors)


class Elastic(Geometric):
    """Smooth bending by cubic B-splines on a coarse grid of control points; it never folds.

    Stacks of thick slices bend within their plane only.

    Args:
        intervals: between control points along the patch's longest side.
        strength: largest displacement of a control point over the distance between two. Below 0.4
            (0.48 in 2-D) the map is one to one (Choi and Lee, Graphical Models 62, 2000).
        probability: of bending a sample.
    """

    def __init__(
        self, *, intervals: int = 4, strength: Range = (0.05, 0.25), probability: float = 0.2
    ) -> None:
        if not 0 <= strength[0] <= strength[1] <= 0.4:
            raise ValueError(
                f"Elastic: strength {strength} must lie within 0 and 0.4; beyond, tissue folds."
            )
        check_number(self, "intervals", intervals, low=1)
        check_probability(self, probability)
        self.intervals = intervals
        self.strength = strength
        self.probability = probability

    def draw(self, rng: np.random.Generator, frame: Frame) -> Draw | None:
        """A strength, and the seed of the control points."""
        if rng.random() >= self.probability:
            return None
        return {"strength": float(rng.uniform(*self.strength)), "seed": draw_seed(rng)}

    def pull(self, points: list[Tensor], draw: Draw, frame: Frame) -> list[Tensor]:
        """Each point moved by the field at its place in the patch."""
        control = bending_control(draw, frame, intervals=self.intervals)
        return bend(points, control, frame, intervals=self.intervals)

    def growth(self, draw: Draw) -> float:
        """Bending has no size of its own."""
        return 1.0

    def reach(self, frame: Frame) -> tuple[float, ...]:
        """Two displacements, one at either end."""
        moves = 2 * self.strength[1] * interval_mm(frame, self.intervals)
        return tuple(
            1 + moves / (n * mm) if axis in frame.plane else 1.0
            for axis, (n, mm) in enumerate(zip(frame.patch, frame.spacing, strict=True))
        )


def _pairs(dims: int) -> list[tuple[int, int]]:
    """The planes that one can rotate in."""
    return [(0, 1)] if dims == 2 else [(1, 2), (0, 2), (0, 1)]


def _rotation(degrees: list[float], dims: int) -> np.ndarray:
    matrix = np.eye(dims)
    for angle, (a, b) in zip(degrees, _pairs(dims), strict=True):
        c, s = cos(radians(angle)), sin(radians(angle))
        turn = np.eye(dims)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = matrix @ turn
    return matrix


def _combine(row: np.ndarray, points: list[Tensor]) -> Tensor:
    """The weighted sum of the points; absent axes are left out, so shapes stay small."""
    terms = [float(w) * p for w, p in zip(row, points, strict=True) if w != 0]
    terms.sort(key=lambda t: prod(t.shape))
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
