"""An abdominal CT in Hounsfield units: liver with tumours, spleen, kidneys, spine and aorta."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from delineate.datasets.canvas import (
    Canvas,
    Drawing,
    Subject,
    blend,
    draw_canvas,
    ellipsoid,
    smooth_noise,
    texture,
)
from delineate.labels import Class, Labels

__all__ = ["ORGANS", "Tumours", "draw_organs"]

_KIDNEY_BED = (64, -50, -46)
_LIVER, _TUMOUR, _SPLEEN, _LEFT, _RIGHT, _SPINE, _AORTA = range(1, 8)

ORGANS = Subject(
    channels=("CT",),
    labels=Labels(
        classes=(
            Class(name="liver", id=_LIVER),
            Class(name="tumour", id=_TUMOUR, parent="liver"),
            Class(name="spleen", id=_SPLEEN),
            Class(name="kidney_left", id=_LEFT),
            Class(name="kidney_right", id=_RIGHT),
            Class(name="spine", id=_SPINE),
            Class(name="aorta", id=_AORTA),
        ),
        pairs=(("kidney_left", "kidney_right"),),
    ),
    shape=(80, 64, 64),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumours:
    """How many a liver has, and of what size."""

    chances: tuple[float, ...]
    """Of none, one, two and so on."""
    radius_mm: tuple[float, float]


_USUAL = Tumours(chances=(0.25, 0.35, 0.25, 0.15), radius_mm=(11, 26))


def draw_organs(
    rng: np.random.Generator, shape: Sequence[int], *, tumours: Tumours = _USUAL
) -> Drawing:
    """One patient; usually about one in four has no tumour."""
    canvas = draw_canvas(rng, shape, view_mm=(380, 290, 250), warp_mm=7.0)
    values = np.full(canvas.shape, -1000, np.float32)
    mask = np.zeros(canvas.shape, np.uint8)
    grain = texture(rng, shape, knots=10)
    _paint_trunk(canvas, values, grain, rng)
    _paint_spine(canvas, values, mask, grain)
    _paint(canvas, values, mask, ellipsoid(canvas, (-12, -35, 0), (11, 11, 900)), 190, _AORTA)
    _paint(canvas, values, mask, _liver(canvas), 105 + 5 * grain + rng.normal(0, 6), _LIVER)
    _paint_vessels(canvas, values, mask, rng)
    spleen = ellipsoid(canvas, (-108, -38, 32), (30, 48, 46), tilt=-20)
    _paint(canvas, values, mask, spleen, 122 + 4 * grain + rng.normal(0, 6), _SPLEEN)
    for side, label in ((-1, _LEFT), (1, _RIGHT)):
        _paint_kidney(canvas, values, mask, side, label)
    _paint_tumours(canvas, values, mask, rng, tumours)
    values += rng.normal(0, 1, values.shape).astype(np.float32) * np.float32(rng.uniform(10, 18))
    image = np.clip(values, -1024, 3071).astype(np.int16)
    return Drawing(image=image[None], mask=mask, spacing=canvas.spacing)


def _paint(
    canvas: Canvas,
    values: np.ndarray,
    mask: np.ndarray,
    depth: np.ndarray,
    value: np.ndarray | float,
    label: int,
) -> None:
    blend(values, depth, value, canvas.width)
    mask[depth > 0] = label


def _paint_trunk(
    canvas: Canvas, values: np.ndarray, grain: np.ndarray, rng: np.random.Generator
) -> None:
    """Skin, fat, muscle and ribs, abdominal fat with bowel, and the bases of the lungs."""
    skin = ellipsoid(canvas, (0, 0, 0), (165, 115, 900), power=2.4)
    fat = np.float32(rng.uniform(9, 20))
    blend(values, skin, -95 + 6 * grain, canvas.width)
    blend(values, skin - fat, 52 + 6 * grain, canvas.width)
    height = canvas.points[2]
    rib = np.cos((height - canvas.points[1] * 0.35) * np.float32(2 * np.pi / 30)) - 0.35
    ribs = np.minimum(4.5 - np.abs(skin - fat - 9), np.minimum(7 * rib, height + 40))
    blend(values, ribs, 320 + 40 * grain, canvas.width)
    cavity = skin - fat - 20
    blend(values, cavity, -85 + 8 * grain, canvas.width)
    loops = smooth_noise(rng, canvas.shape, knots=9)
    bowel = np.minimum(np.minimum(cavity, 20 * (np.abs(loops) - 0.55)), 45 - height)
    blend(values, bowel, 38 + 14 * grain, canvas.width)
    blend(values, np.minimum(bowel, 20 * (loops - 1.9)), -850, canvas.width)
    stomach = ellipsoid(canvas, (-62, 40, 40), (42, 30, 40), tilt=25)
    blend(values, stomach, 35 + 5 * grain, canvas.width)
    blend(values, np.minimum(stomach - 5, canvas.points[1] - 52), -900, canvas.width)
    for side in (-1, 1):
        lung = ellipsoid(canvas, (side * 82, -12, 135), (62, 80, 82))
        blend(values, np.minimum(lung, cavity), -840 + 25 * grain, canvas.width)


def _paint_spine(canvas: Canvas, values: np.ndarray, mask: np.ndarray, grain: np.ndarray) -> None:
    """Vertebral bodies with discs between them, the arch behind, and the canal left free."""
    body = ellipsoid(canvas, (0, -62, 0), (23, 18, 900), power=2.6)
    arch = ellipsoid(canvas, (0, -88, 0), (26, 11, 900))
    process = ellipsoid(canvas, (0, -100, 0), (5, 16, 900))
    canal = ellipsoid(canvas, (0, -84, 0), (10, 8, 900))
    bone = np.minimum(np.maximum(np.maximum(body, arch), process), -canal)
    disc = 6 * np.cos(canvas.points[2] * np.float32(2 * np.pi / 34)) - 3.8
    blend(values, bone, 230 + 40 * grain, canvas.width)
    blend(values, 4 - np.abs(bone), 420, canvas.width)
    blend(values, np.minimum(body, disc), 85 + 10 * grain, canvas.width)
    blend(values, canal, 25, canvas.width)
    mask[bone > 0] = _SPINE


def _liver(canvas: Canvas) -> np.ndarray:
    """A dome under the right lung that thins out to the left, with a flat lower face."""
    right = ellipsoid(canvas, (78, 2, 30), (72, 84, 68), power=2.2)
    left = ellipsoid(canvas, (-2, 38, 42), (70, 42, 34), tilt=12)
    x, y, z = canvas.points
    below = (z + 26 - 0.38 * (78 - x) + 0.22 * y) * np.float32(0.85)
    bed = ellipsoid(canvas, _KIDNEY_BED, (34, 31, 57))
    return np.minimum(np.minimum(np.maximum(right, left), below), -bed)


def _paint_vessels(
    canvas: Canvas, values: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> None:
    """Bright vessels inside the liver, which stay liver."""
    tubes = np.hypot(*(smooth_noise(rng, canvas.shape, knots=6) for _ in range(2)))
    vessel = np.where(mask == _LIVER, (0.22 - tubes) * 18, -99)
    blend(values, vessel, 165, canvas.width)


def _paint_kidney(
    canvas: Canvas, values: np.ndarray, mask: np.ndarray, side: int, label: int
) -> None:
    """A bean with bright cortex and darker pyramids, with fat in its hilum and around it."""
    middle = _KIDNEY_BED if side > 0 else (-66, -48, -24)
    bean = ellipsoid(canvas, middle, (29, 26, 52), tilt=-9 * side)
    hilum = ellipsoid(canvas, (side * 42, -40, middle[2]), (15, 13, 20))
    depth = np.minimum(bean, -hilum)
    blend(values, np.where(mask == 0, bean + 5, -99), -92, canvas.width)
    _paint(canvas, values, mask, depth, 185, label)
    blend(values, depth - 8, 140, canvas.width)
    blend(values, np.minimum(hilum, bean + 4), -70, canvas.width)


def _paint_tumours(
    canvas: Canvas,
    values: np.ndarray,
    mask: np.ndarray,
    rng: np.random.Generator,
    tumours: Tumours,
) -> None:
    """Dark, uneven lesions inside the liver, the largest with a necrotic core."""
    inside = np.argwhere(mask == _LIVER)
    lumps = smooth_noise(rng, canvas.shape, knots=8)
    chances = tumours.chances
    for _ in range(rng.choice(len(chances), p=chances) if len(inside) else 0):
        centre = canvas.points[(slice(None), *inside[rng.integers(len(inside))])]
        radius = rng.uniform(*tumours.radius_mm)
        depth = ellipsoid(canvas, centre, radius * rng.uniform(0.8, 1.2, 3))
        depth += np.float32(min(2.5, 0.23 * radius)) * lumps
        depth = np.where((mask == _LIVER) | (mask == _TUMOUR), depth, -99)
        _paint(canvas, values, mask, depth, 52 + 6 * lumps, _TUMOUR)
        if radius > 20:
            blend(values, depth - radius / 2, 22, canvas.width)
