"""What phantoms are drawn with: a warped grid in mm, smooth noise, and shapes as depths in mm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from delineate.labels import Labels

__all__ = [
    "Canvas",
    "Drawing",
    "Subject",
    "blend",
    "draw_canvas",
    "ellipsoid",
    "rician",
    "smooth_noise",
    "texture",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a kind of phantom shows, the same for every case."""

    channels: tuple[str, ...]
    labels: Labels
    shape: tuple[int, ...]
    """Of the array unless another is asked for."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What a layout with a free description says besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One finished case."""

    image: np.ndarray
    """(c, *s)."""
    mask: np.ndarray
    """(*s) ids, or (k, *s) 0/1 where structures may overlap."""
    spacing: tuple[float, ...]
    """mm along each axis; axes are right, anterior, superior."""
    presence: tuple[int, ...] | None = None
    """0/1 per structure where some are left out on purpose."""
    scenario: str = ""
    """Which of them are left out, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where each voxel lies in the anatomy of one case."""

    points: np.ndarray
    """(d, *s) mm from the middle of the anatomy: right, anterior, superior."""
    spacing: tuple[float, ...]
    width: float
    """mm over which one tissue turns into another: one voxel."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.points.shape[1:]


def draw_canvas(
    rng: np.random.Generator, shape: Sequence[int], *, view_mm: Sequence[float], warp_mm: float
) -> Canvas:
    """A grid over about `view_mm`, in another spacing, pose, size and bend for each draw."""
    spacing = [size / n * rng.uniform(0.92, 1.08) for size, n in zip(view_mm, shape, strict=True)]
    scale = np.array(spacing, np.float32) / rng.uniform(0.93, 1.07)
    pose = _rotation(rng, len(shape), degrees=7.0) * scale
    shift = rng.uniform(-0.03, 0.03, len(shape)) * np.array(view_mm)
    points = np.tensordot(pose.astype(np.float32), _indices(tuple(shape)), axes=1)
    points += shift.astype(np.float32).reshape(-1, *[1] * len(shape))
    for axis in points:
        axis += np.float32(warp_mm) * smooth_noise(rng, shape, knots=3)
    return Canvas(points=points, spacing=tuple(spacing), width=max(spacing))


def ellipsoid(
    canvas: Canvas,
    centre: ArrayLike,
    radii: ArrayLike,
    *,
    tilt: float = 0.0,
    power: float = 2.0,
) -> np.ndarray:
    """Depth in mm below the surface, about right near it and negative outside.

    Args:
        canvas: where to draw.
        centre: mm.
        radii: mm along each axis.
        tilt: degrees, turning the first axis towards the last.
        power: 2 is round, more is boxier.
    """
    offsets = [p - np.float32(c) for p, c in zip(canvas.points, np.asarray(centre), strict=True)]
    if tilt:
        cos, sin = np.float32(np.cos(np.radians(tilt))), np.float32(np.sin(np.radians(tilt)))
        first, last = offsets[0], offsets[-1]
        offsets[0], offsets[-1] = cos * first + sin * last, cos * last - sin * first
    distance = np.zeros(canvas.shape, np.float32)
    size = np.asarray(radii, np.float32)
    for offset, radius in zip(offsets, size, strict=True):
        offset /= radius
        distance += offset**2 if power == 2 else np.abs(offset) ** np.float32(power)
    distance **= np.float32(1 / power)
    return (1 - distance) * size.min()


def blend(values: np.ndarray, depth: np.ndarray, value: np.ndarray | float, width: float) -> None:
    """Paint `value` where depth is positive, with partial volume over `width` mm at the border."""
    share = np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)
    values += share * (value - values)


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], *, knots: int) -> np.ndarray:
    """Noise of deviation about 1 that bends about `knots` times along the longest axis."""
    counts = [max(1, round(knots * n / max(shape))) for n in shape]
    field = rng.standard_normal([count + 3 for count in counts], dtype=np.float32)
    for n, count in zip(shape, counts, strict=True):
        field = np.tensordot(field, _spline(n, count), axes=(0, 1))
    return field


def texture(rng: np.random.Generator, shape: Sequence[int], *, knots: int) -> np.ndarray:
    """Noise with detail at three scales, deviation about 1."""
    octaves = ((0.8, 1), (0.5, 2), (0.33, 4))
    return sum(
        (np.float32(a) * smooth_noise(rng, shape, knots=k * knots) for a, k in octaves),
        np.zeros(tuple(shape), np.float32),
    )


def rician(rng: np.random.Generator, values: np.ndarray, deviation: float) -> np.ndarray:
    """Magnitude MR noise: Gaussian in both parts of the complex signal."""
    parts = rng.standard_normal((2, *values.shape), dtype=np.float32) * np.float32(deviation)
    return np.hypot(values + parts[0], parts[1])


@lru_cache(maxsize=4)
def _indices(shape: tuple[int, ...]) -> np.ndarray:
    """(d, *s) voxel positions from the middle of the array, shared by all cases of one shape."""
    middle = (np.array(shape) - 1) / 2
    return np.indices(shape, np.float32) - middle.astype(np.float32).reshape(-1, *[1] * len(shape))


@lru_cache(maxsize=64)
def _spline(n: int, intervals: int) -> np.ndarray:
    """(n, intervals + 3) weights of a cubic B-spline that keep the variance of white noise."""
    position = np.linspace(0, intervals, n, endpoint=False) + intervals / (2 * n)
    offset = np.abs(position[:, None] + 1 - np.arange(intervals + 3))
    near = 2 / 3 - offset**2 + offset**3 / 2
    far = np.clip(2 - offset, 0, None) ** 3 / 6
    weights = np.where(offset < 1, near, far)
    return (weights / np.sqrt((weights**2).sum(axis=1).mean())).astype(np.float32)


def _rotation(rng: np.random.Generator, dims: int, *, degrees: float) -> np.ndarray:
    """A rotation by up to `degrees` in each plane."""
    turn = np.eye(dims)
    for i in range(dims):
        for j in range(i):
            angle = np.radians(rng.uniform(-degrees, degrees))
            plane = np.eye(dims)
            plane[[i, j], [i, j]] = np.cos(angle)
            plane[i, j], plane[j, i] = -np.sin(angle), np.sin(angle)
            turn = turn @ plane
    return turn
