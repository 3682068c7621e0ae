"""The brainstem of phantoms: its outline, its subdivisions, and what surrounds it."""

import numpy as np

from delineate.datasets.canvas import Canvas, blend, ellipsoid, smooth_noise

__all__ = [
    "MEDULLA",
    "MIDBRAIN",
    "PONS",
    "outline",
    "paint_surroundings",
    "paint_tracts",
    "subdivide",
]

MIDBRAIN, PONS, MEDULLA = 1, 2, 3


def outline(canvas: Canvas) -> np.ndarray:
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


def subdivide(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The id of each subdivision, between slanted and slightly uneven planes."""
    _, y, z = canvas.points
    uneven = 0.6 * smooth_noise(rng, canvas.shape, knots=4)
    upper = z - 6 - 0.1 * y + uneven
    lower = z + 17 - 0.12 * y + uneven
    return np.where(upper > 0, MIDBRAIN, np.where(lower > 0, PONS, MEDULLA))


def paint_surroundings(canvas: Canvas, signal: np.ndarray, grain: np.ndarray) -> None:
    """The cerebellum with its leaves behind, the temporal lobes beside, an artery in front."""
    _, y, z = canvas.points
    leaves = np.sin(np.hypot(y + 10, z + 8) * np.float32(1.6) + grain) * 26
    blend(signal, ellipsoid(canvas, (0, -36, -10), (42, 24, 34)), 135 + leaves, canvas.width)
    for side in (-1, 1):
        lobe = ellipsoid(canvas, (side * 38, 6, 18), (19, 30, 22))
        blend(signal, lobe, 140 + 18 * np.sin(y * np.float32(0.7)) + 5 * grain, canvas.width)
    blend(signal, ellipsoid(canvas, (1, 20.5, -8), (1.8, 1.8, 26)), 30, canvas.width)


def paint_tracts(canvas: Canvas, signal: np.ndarray, stem: np.ndarray, grain: np.ndarray) -> None:
    """Dark fibre bundles that run down the brainstem, which have no label."""
    for side in (-1, 1):
        tract = ellipsoid(canvas, (side * 4.5, 7.5, -5), (2.6, 2.8, 30), tilt=-8 * side)
        blend(signal, np.minimum(tract, stem - 1), 96 + 4 * grain, canvas.width)
