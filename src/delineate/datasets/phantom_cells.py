"""A microscope field of cells with their nuclei, as an 8-bit picture."""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.canvas import Drawing, Subject, smooth_noise, texture
from delineate.labels import Class, Labels

__all__ = ["CELLS", "draw_cells"]

_CELL, _NUCLEUS = 1, 2
_CELLS_IN_FIELD = 22

CELLS = Subject(
    channels=("image",),
    labels=Labels(
        classes=(
            Class(name="cell", id=_CELL),
            Class(name="nucleus", id=_NUCLEUS, parent="cell"),
        )
    ),
    shape=(160, 192),
)


def draw_cells(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One field: cells of all sizes that may touch, uneven light, debris without a label."""
    rows, columns = np.indices(tuple(shape), np.float32)
    owner, cell, nucleus = _cells(rng, rows, columns)
    grain = texture(rng, shape, knots=18)
    values = 42 + 5 * grain
    tone = rng.uniform(85, 140, int(owner.max()) + 1).astype(np.float32)[owner]
    values += _share(cell) * (tone + 9 * grain - values)
    values += _share(1.6 - np.abs(cell - 1.2)) * 14
    values += _share(nucleus) * (tone * 0.45 + 105 + 12 * grain - values)
    values += _debris(rng, rows, columns)
    light = 1 + rng.uniform(0.08, 0.22) * smooth_noise(rng, shape, knots=1)
    values = rng.poisson(np.clip(values * light, 0, None) * 1.5) / 1.5
    values += rng.normal(0, 3, values.shape)
    mask = np.where(nucleus > 0, _NUCLEUS, np.where(cell > 0, _CELL, 0)).astype(np.uint8)
    image = np.clip(values * rng.uniform(0.8, 1.15), 0, 255).astype(np.uint8)
    return Drawing(image=image[None], mask=mask, spacing=(1.0, 1.0))


def _cells(
    rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cell that owns each pixel, and depths in pixels of cells and nuclei."""
    height, width = rows.shape
    size = np.sqrt(height * width / _CELLS_IN_FIELD)
    owner = np.zeros(rows.shape, np.intp)
    cell = np.full(rows.shape, -99, np.float32)
    nucleus = np.full(rows.shape, -99, np.float32)
    for number, (row, column) in enumerate(_places(rng, height, width, 0.62 * size)):
        radius = size * rng.uniform(0.27, 0.42)
        here = _window(row, column, 2 * radius)
        dy, dx = rows[here] - row, columns[here] - column
        depth = _outline(rng, dy, dx, radius, 0.12)
        shift = rng.uniform(-0.2, 0.2, 2) * radius
        inner = _outline(rng, dy - shift[0], dx - shift[1], radius * rng.uniform(0.36, 0.52), 0.06)
        ahead = depth > cell[here]
        owner[here][ahead] = number
        nucleus[here] = np.where(
            ahead, np.minimum(inner, depth - 2), np.minimum(nucleus[here], -depth)
        )
        cell[here] = np.maximum(cell[here], depth)
    return owner, cell, nucleus


def _window(row: float, column: float, reach: float) -> tuple[slice, slice]:
    """The part of the picture within reach of a point."""
    return (
        slice(max(0, int(row - reach)), int(row + reach) + 2),
        slice(max(0, int(column - reach)), int(column + reach) + 2),
    )


def _places(
    rng: np.random.Generator, height: int, width: int, apart: float
) -> list[tuple[float, float]]:
    """Random points at least `apart` pixels from each other, some of them near the edge."""
    found: list[tuple[float, float]] = []
    for row, column in rng.uniform((0, 0), (height, width), (12 * _CELLS_IN_FIELD, 2)):
        if all(np.hypot(row - r, column - c) > apart for r, c in found):
            found.append((row, column))
    return found


def _outline(
    rng: np.random.Generator, dy: np.ndarray, dx: np.ndarray, radius: float, uneven: float
) -> np.ndarray:
    """Depth in pixels below a closed irregular curve around a point."""
    angle = np.arctan2(dy, dx)
    reach = np.ones_like(angle)
    for k in range(2, 6):
        reach += rng.normal(0, uneven / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return (radius * reach - np.hypot(dy, dx)).astype(np.float32)


def _debris(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A few small bright specks."""
    specks = np.zeros(rows.shape, np.float32)
    for _ in range(rng.integers(3, 9)):
        row, column = rng.uniform((0, 0), rows.shape)
        distance = np.hypot(rows - row, columns - column)
        specks += rng.uniform(40, 110) * np.exp(-((distance / rng.uniform(1, 2.2)) ** 2))
    return specks


def _share(depth: np.ndarray) -> np.ndarray:
    """How much of each pixel a shape covers."""
    return np.clip(depth + np.float32(0.5), 0, 1)
