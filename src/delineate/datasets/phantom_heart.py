"""A heart in cine MR: two ventricles full of bright blood, and the dark muscle of the left one."""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.canvas import (
    Canvas,
    Drawing,
    Subject,
    blend,
    draw_canvas,
    ellipsoid,
    rician,
    smooth_noise,
    texture,
)
from delineate.labels import Labels

__all__ = ["HEART", "draw_heart"]

HEART = Subject(
    channels=("MR",),
    labels=Labels.from_names(
        {"left_ventricle": 1, "myocardium": 2, "right_ventricle": 3}, pairs=()
    ),
    shape=(48, 48, 32),
)

_LUNG, _BODY, _FAT, _BLOOD, _MUSCLE, _LIVER = 22, 95, 205, 185, 78, 118


def draw_heart(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One patient, between filled and contracted; the plane of the valves cuts both off above."""
    canvas = draw_canvas(rng, shape, view_mm=(132, 132, 92), warp_mm=3.0)
    cavity, muscle, right = _ventricles(canvas, rng)
    grain = texture(rng, shape, knots=8)
    image = np.full(canvas.shape, _BODY, np.float32)
    for side in (-1, 1):
        lung = ellipsoid(canvas, (side * 66, -8, 10), (34, 58, 70))
        blend(image, lung, _LUNG, canvas.width)
    blend(image, ellipsoid(canvas, (28, 6, -58), (70, 60, 30)), _LIVER + 5 * grain, canvas.width)
    around = np.maximum(muscle, right)
    blend(image, around + 4, _FAT, canvas.width)
    blend(image, around + 1.5, _MUSCLE, canvas.width)
    blend(image, right, _BLOOD + 8 * grain, canvas.width)
    blend(image, muscle, _MUSCLE + 5 * grain, canvas.width)
    blend(image, cavity, _BLOOD + 8 * grain, canvas.width)
    image *= np.exp(np.float32(rng.uniform(0.05, 0.15)) * smooth_noise(rng, shape, knots=2))
    image = rician(rng, image, rng.uniform(5, 10)) * np.float32(rng.uniform(0.6, 4.0))
    mask = np.select([cavity > 0, muscle > 0, right > 0], [1, 2, 3], 0).astype(np.uint8)
    return Drawing(image=np.rint(image)[None].astype(np.int16), mask=mask, spacing=canvas.spacing)


def _ventricles(
    canvas: Canvas, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths of the left cavity, of the left ventricle with its muscle, and of the right cavity."""
    filled = rng.uniform(0.8, 1.12)
    wall = rng.uniform(9, 13) / filled
    below_valves = rng.uniform(20, 26) - canvas.points[2]
    radii = np.array((21.0, 21.0, 38.0)) * filled
    cavity = np.minimum(ellipsoid(canvas, (-10, 0, 0), radii), below_valves)
    muscle = np.minimum(ellipsoid(canvas, (-10, 0, 0), radii + wall), below_valves)
    size = np.array((28.0, 34.0, 36.0)) * rng.uniform(0.88, 1.12) * np.sqrt(filled)
    right = ellipsoid(canvas, (20, 10, 2), size)
    right = np.minimum(np.minimum(right, below_valves), -1.5 - muscle)
    return cavity, muscle, right
