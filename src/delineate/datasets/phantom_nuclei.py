"""A brainstem in T2 with three subdivisions and the nuclei inside each: labels in a hierarchy."""

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
from delineate.labels import Class, Labels

__all__ = ["NUCLEI", "draw_nuclei"]

_MIDBRAIN, _PONS, _MEDULLA = 1, 2, 3

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
            Class(name="midbrain", id=_MIDBRAIN, parent="brainstem"),
            Class(name="pons", id=_PONS, parent="brainstem"),
            Class(name="medulla", id=_MEDULLA, parent="brainstem"),
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
    _paint_surroundings(canvas, signal, grain)
    stem = _brainstem(canvas)
    blend(signal, stem, 120 + 5 * grain, canvas.width)
    _paint_tracts(canvas, signal, stem, grain)
    mask = np.where(stem > 0, _subdivisions(canvas, rng), 0).astype(np.uint8)
    contrast = rng.uniform(0.75, 1.1)
    for label, (_, part, value, centre, radii, tilt) in enumerate(_NUCLEI, 4):
        depth = _pair(canvas, centre, radii, tilt, rng)
        depth = np.minimum(depth, stem - 0.8)
        value = 120 + contrast * (value - 120) * rng.uniform(0.85, 1.15)
        home = mask == {"midbrain": _MIDBRAIN, "pons": _PONS, "medulla": _MEDULLA}[part]
        blend(signal, np.where(home, depth, -9), value + 4 * grain, canvas.width)
        mask[home & (depth > 0)] = label
    signal *= np.exp(np.float32(rng.uniform(0.05, 0.15)) * smooth_noise(rng, shape, knots=2))
    image = rician(rng, signal, rng.uniform(4, 8)) * np.float32(rng.uniform(0.5, 5))
    return Drawing(image=np.rint(image[None]).astype(np.int16), mask=mask, spacing=canvas.spacing)


def _brainstem(canvas: Canvas) -> np.ndarray:
    """Midbrain with its legs and colliculi, bulging pons, medulla; the aqueduct left free."""
    z = canvas.points[2]
    legs = (ellipsoid(canvas, (side * 9, 6, 19), (7, 7, 15), tilt=-18 * side) for side in (-1, 1))
    tegmentum = ellipsoid(canvas, (0, -3, 16), (15, 11, 15))
    hills = (ellipsoid(canvas, (side * 5, -10, 15), (5, 5, 9)) for side in (-1, 1))
    belly = ellipsoid(canvas, (0, 5, -5), (17, 13, 14), power=2.3)
    medulla = ellipsoid(canvas, (0, -2, -28), (9.5, 9, 26))
    whole = np.maximum.reduce([*legs, tegmentum, *hills, belly, medulla])
    aqueduct = ellipsoid(canvas, (0, -5.5, 0), (1.3, 1.3, 900))
    ventricle = ellipsoid(canvas, (0, -12, -8), (9, 6, 16))
    return np.minimum(np.minimum(whole, -np.where(z > 4, aqueduct, -9)), -ventricle)


def _subdivisions(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The id of each subdivision, between slanted and slightly uneven planes."""
    _, y, z = canvas.points
    uneven = 0.6 * smooth_noise(rng, canvas.shape, knots=4)
    upper = z - 6 - 0.1 * y + uneven
    lower = z + 17 - 0.12 * y + uneven
    return np.where(upper > 0, _MIDBRAIN, np.where(lower > 0, _PONS, _MEDULLA))


def _paint_surroundings(canvas: Canvas, signal: np.ndarray, grain: np.ndarray) -> None:
    """The cerebellum with its leaves behind, the temporal lobes beside, an artery in front."""
    _, y, z = canvas.points
    leaves = np.sin(np.hypot(y + 10, z + 8) * np.float32(1.6) + grain) * 26
    blend(signal, ellipsoid(canvas, (0, -36, -10), (42, 24, 34)), 135 + leaves, canvas.width)
    for side in (-1, 1):
        lobe = ellipsoid(canvas, (side * 38, 6, 18), (19, 30, 22))
        blend(signal, lobe, 140 + 18 * np.sin(y * np.float32(0.7)) + 5 * grain, canvas.width)
    blend(signal, ellipsoid(canvas, (1, 20.5, -8), (1.8, 1.8, 26)), 30, canvas.width)


def _paint_tracts(canvas: Canvas, signal: np.ndarray, stem: np.ndarray, grain: np.ndarray) -> None:
    """Dark fibre bundles that run down the brainstem, which have no label."""
    for side in (-1, 1):
        tract = ellipsoid(canvas, (side * 4.5, 7.5, -5), (2.6, 2.8, 30), tilt=-8 * side)
        blend(signal, np.minimum(tract, stem - 1), 96 + 4 * grain, canvas.width)


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
