"""A brainstem at 200 um in T2 with the 36 documented nuclei, the largest a hundred times the least.

Signals are shared by many nuclei and by unlabelled fibres, and every nucleus has a place, size and
contrast of its own in each subject: neither signal nor position alone tells which one it is.
"""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.brainstem_atlas import (
    ATLAS,
    BRAINSTEM_ID,
    MEDULLA_ID,
    atlas_labels,
    atlas_schema,
)
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

__all__ = ["BRAINSTEM_NUCLEI", "draw_brainstem"]

_SPACING_MM = 0.2
_VIEW = (42.0, 38.0, 78.0)
"""Of a person's brainstem, in mm; the field shows all of it, whatever its size."""
_TISSUE = 120
_CODE = {"midbrain": MIDBRAIN, "pons": PONS, "medulla": MEDULLA}
_COARSE = 4
"""Voxels between those that are looked at to find where a nucleus lies."""

# Signal, then the right-hand ellipsoid: centre, radii (mm), tilt (degrees). x is 0 on the midline.
_SHAPES: dict[str, tuple[float, tuple[float, ...], tuple[float, ...], float]] = {
    "PAG": (156, (0, -4.6, 15.5), (4.6, 4.4, 8.5), 0),
    "EW": (88, (1.6, 0.2, 19.5), (1.4, 1.3, 2.4), 0),
    "SNc": (92, (7.2, 3.2, 15.5), (5.4, 1.5, 5.2), 25),
    "SNr": (156, (9.2, 6.6, 15), (6.2, 2.0, 5.6), 25),
    "RN": (84, (5.0, 0.0, 16.8), (2.8, 2.8, 3.8), 0),
    "III": (90, (1.6, 0.9, 13.6), (1.4, 1.4, 2.6), 0),
    "IV": (92, (1.7, -0.2, 9.4), (1.4, 1.4, 1.6), 0),
    "SC": (158, (5.2, -11.0, 19.5), (4.2, 2.8, 4.0), 0),
    "IC": (86, (5.2, -10.8, 11.8), (3.9, 3.0, 3.3), 0),
    "VTA": (152, (2.0, 4.4, 14), (1.8, 1.8, 3.2), 0),
    "RF-MB": (148, (8.8, -4.0, 15), (3.2, 2.8, 5.6), 0),
    "IPN": (88, (0, 6.0, 10.5), (1.7, 1.8, 2.7), 0),
    "PN": (154, (7.4, 10.0, -4.5), (7.2, 4.9, 7.9), -8),
    "LC": (86, (4.4, -3.2, 1.6), (1.3, 1.4, 3.0), 0),
    "VI": (154, (2.2, -2.6, -9.2), (1.6, 1.5, 1.8), 0),
    "VII": (88, (6.2, 0.4, -12.4), (1.7, 1.8, 2.6), 0),
    "SOC": (152, (8.2, 3.4, -10.2), (2.1, 1.7, 2.8), 0),
    "Vmo": (90, (6.6, 0.0, -2.8), (1.8, 1.8, 2.4), 0),
    "Vsen": (154, (10.2, -0.4, -3.0), (1.8, 2.2, 3.2), 0),
    "VN": (150, (4.6, -3.6, -13), (2.2, 1.5, 3.0), 0),
    "PBN": (152, (7.2, -2.6, 3.0), (1.4, 1.7, 2.4), 0),
    "RPo": (90, (0, 0.6, 1.0), (1.5, 2.6, 3.6), 0),
    "RF-PN": (148, (3.2, 1.6, -6.5), (2.0, 2.4, 5.0), 0),
    "KF": (88, (10.0, 0.4, 2.4), (1.4, 1.4, 1.6), 0),
    "NA": (88, (5.6, -0.8, -28.5), (1.4, 1.4, 5.4), 0),
    "XII": (152, (1.7, -5.6, -29), (1.5, 1.5, 5.6), 0),
    "DMNX": (90, (3.8, -7.4, -28), (1.3, 1.4, 4.6), 0),
    "NTS": (150, (5.6, -5.0, -26.5), (1.5, 1.7, 5.6), 0),
    "IO": (156, (3.9, 3.0, -25.5), (2.4, 2.4, 6.0), 5),
    "RMg": (90, (0, -0.6, -21), (1.5, 2.2, 2.6), 0),
    "RPa": (152, (0, 1.6, -30), (1.3, 1.6, 3.2), 0),
    "preBotC": (152, (7.0, 0.4, -35.4), (1.4, 1.4, 1.9), 0),
    "BotC": (90, (7.2, 1.0, -21), (1.5, 1.5, 2.0), 0),
    "RVLM": (148, (5.2, 3.6, -33.6), (1.7, 1.5, 2.6), 0),
    "GC": (148, (3.0, -2.0, -22.5), (1.7, 2.0, 4.0), 0),
    "RF-MD": (90, (2.6, -1.6, -35.5), (2.0, 2.2, 2.8), 0),
}

BRAINSTEM_NUCLEI = Subject(
    channels=("T2",),
    labels=atlas_labels(),
    shape=(72, 64, 112),
    about=atlas_schema(),
)


def draw_brainstem(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One subject, from the thalamus to below the olives, in voxels of 200 um.

    The anatomy fills the field of view, as a specimen does: a larger shape shows it finer.
    """
    canvas = draw_canvas(rng, shape, view_mm=_VIEW, warp_mm=1.2)
    grain = texture(rng, shape, knots=8)
    signal = np.full(canvas.shape, 215, np.float32)
    paint_surroundings(canvas, signal, grain)
    stem = outline(canvas)
    blend(signal, stem, _TISSUE + 5 * grain, canvas.width)
    paint_tracts(canvas, signal, stem, grain)
    part = np.where(stem > 0, subdivide(canvas, rng), 0).astype(np.uint8)
    ids = np.array([0, BRAINSTEM_ID, BRAINSTEM_ID, MEDULLA_ID], np.uint8)
    mask = ids[part]
    contrast = rng.uniform(0.8, 1.15)
    for nucleus in ATLAS:
        value, centre, radii, tilt = _SHAPES[nucleus.abbreviation]
        value = _TISSUE + contrast * (value - _TISSUE) * rng.uniform(0.85, 1.15)
        for side in (1,) if centre[0] == 0 else (-1, 1):
            place = np.array([side * centre[0], *centre[1:]]) + rng.normal(0, 0.35, 3)
            size = np.array(radii) * rng.uniform(0.9, 1.1, 3)
            box = _around(canvas, place, size)
            near = Canvas(points=canvas.points[:, *box], spacing=canvas.spacing, width=canvas.width)
            depth = np.minimum(ellipsoid(near, place, size, tilt=side * tilt), stem[box] - 0.4)
            depth = np.where(part[box] == _CODE[nucleus.subdivision], depth, -9)
            blend(signal[box], depth, value + 4 * grain[box], canvas.width)
            mask[box][depth > 0] = nucleus.id
    signal *= np.exp(np.float32(rng.uniform(0.05, 0.15)) * smooth_noise(rng, shape, knots=2))
    image = rician(rng, signal, rng.uniform(4, 7)) * np.float32(rng.uniform(0.5, 5))
    return Drawing(
        image=np.rint(image[None]).astype(np.int16), mask=mask, spacing=(_SPACING_MM,) * 3
    )


def _around(canvas: Canvas, centre: np.ndarray, radii: np.ndarray) -> tuple[slice, ...]:
    """A box of voxels outside which nothing of an ellipsoid lies; empty if all of it is outside."""
    # A tilt may turn the longest radius to any axis; the points between those looked at add a step.
    reach = radii.max() + 2 * (_COARSE + 1) * canvas.width
    coarse = canvas.points[:, ::_COARSE, ::_COARSE, ::_COARSE]
    inside = (np.abs(coarse - centre.astype(np.float32).reshape(-1, 1, 1, 1)) < reach).all(0)
    found = np.argwhere(inside)
    if not len(found):
        return (slice(0, 0),) * 3
    low, high = found.min(0) * _COARSE, found.max(0) * _COARSE
    return tuple(
        slice(max(0, int(a) - _COARSE), int(b) + _COARSE + 1)
        for a, b in zip(low, high, strict=True)
    )
