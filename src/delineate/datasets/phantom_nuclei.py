"""A brainstem in T2 with three subdivisions and the nuclei inside each: labels in a hierarchy."""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.brainstem_outline import (
    MEDULLA,
    MIDBRAIN,
    PONS,
    outline,
    paint_surroundings,
    paint_tracts,
    subdivide,
)
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
from delineate.labels import Class, Labels

__all__ = ["NUCLEI", "draw_nuclei"]

# Name, subdivision, signal, and the right-hand ellipsoid: centre, radii (mm), tilt (degrees).
_NUCLEI = (
    ("periaqueductal_gray", "midbrain", 175, (1.6, -5.0, 17), (3.2, 3.4, 7), 0),
    ("red_nucleus", "midbrain", 78, (5.0, 1.5, 16), (3.3, 3.3, 4.2), 0),
    ("substantia_nigra", "midbrain", 98, (8.5, 6.0, 14), (6.0, 1.9, 5), 25),
    ("inferior_colliculus", "midbrain", 158, (5.0, -10.0, 12), (3.6, 3.0, 3.2), 0),
    ("pontine_nuclei", "pons", 158, (6.5, 9.0, -4), (5.5, 3.6, 6.5), -10),
    ("superior_olive", "pons", 92, (7.5, 0.5, -9), (2.6, 2.4, 3.6), 0),
    ("inferior_olive", "medulla", 165, (4.6, 1.5, -25), (2.4, 2.9, 6.2), 5),
    ("solitary_nucleus", "medulla", 162, (3.6, -7.0, -23), (2.0, 2.1, 6.0), 8),
)

NUCLEI = Subject(
    channels=("T2",),
    labels=Labels(
        classes=(
            Class(name="brainstem"),
            Class(name="midbrain", id=MIDBRAIN, parent="brainstem"),
            Class(name="pons", id=PONS, parent="brainstem"),
            Class(name="medulla", id=MEDULLA, parent="brainstem"),
            *(Class(name=n, id=i, parent=part) for i, (n, part, *_) in enumerate(_NUCLEI, 4)),
        )
    ),
    shape=(64, 64, 80),
)


def draw_nuclei(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One person; every nucleus has its own size, place and contrast."""
    canvas = draw_canvas(rng, shape, view_mm=(58, 58, 84), warp_mm=1.3)
    grain = texture(rng, shape, knots=8)
    signal = np.full(canvas.shape, 215, np.float32)
    paint_surroundings(canvas, signal, grain)
    stem = outline(canvas)
    blend(signal, stem, 120 + 5 * grain, canvas.width)
    paint_tracts(canvas, signal, stem, grain)
    mask = np.where(stem > 0, subdivide(canvas, rng), 0).astype(np.uint8)
    contrast = rng.uniform(0.75, 1.1)
    for label, (_, part, value, centre, radii, tilt) in enumerate(_NUCLEI, 4):
        depth = _pair(canvas, centre, radii, tilt, rng)
        depth = np.minimum(depth, stem - 0.8)
        value = 120 + contrast * (value - 120) * rng.uniform(0.85, 1.15)
        home = mask == {"midbrain": MIDBRAIN, "pons": PONS, "medulla": MEDULLA}[part]
        blend(signal, np.where(home, depth, -9), value + 4 * grain, canvas.width)
        mask[home & (depth > 0)] = label
    signal *= np.exp(np.float32(rng.uniform(0.05, 0.15)) * smooth_noise(rng, shape, knots=2))
    image = rician(rng, signal, rng.uniform(4, 8)) * np.float32(rng.uniform(0.5, 5))
    return Drawing(image=np.rint(image[None]).astype(np.int16), mask=mask, spacing=canvas.spacing)


def _pair(
    canvas: Canvas,
    centre: Sequence[float],
    radii: Sequence[float],
    tilt: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A nucleus on both sides, each with its own small deviation."""
    sides = []
    for side in (-1, 1):
        place = np.array([side * centre[0], *centre[1:]]) + rng.normal(0, 0.4, 3)
        size = np.array(radii) * rng.uniform(0.88, 1.12, 3)
        sides.append(ellipsoid(canvas, place, size, tilt=side * tilt))
    return np.maximum(*sides)
