"""The neck in T1 or T2 with the spinal cord in its canal, and up to four lesions in the cord."""

from collections.abc import Sequence
from typing import Literal

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

__all__ = ["SPINE", "draw_spine"]

Contrast = Literal["T1", "T2"]
CORD, LESION = 1, 2

SPINE = Subject(
    channels=("T2",),
    labels=Labels(
        classes=(
            Class(name="spinal cord", id=CORD),
            Class(name="lesion", id=LESION, parent="spinal cord"),
        )
    ),
    shape=(16, 112, 128),
)

VIEW_MM = (50.0, 130.0, 160.0)
# Signal of each tissue in T1 and in T2.
_SIGNAL = {
    "T1": {
        "fat": 215, "muscle": 95, "bone": 150, "rim": 35, "disc": 100, "fluid": 35, "cord": 125,
        "lesion": 105, "air": 6,
    },
    "T2": {
        "fat": 175, "muscle": 60, "bone": 100, "rim": 22, "disc": 130, "fluid": 225, "cord": 105,
        "lesion": 185, "air": 6,
    },
}  # fmt: skip


def draw_spine(
    rng: np.random.Generator,
    shape: Sequence[int],
    *,
    contrast: Contrast = "T2",
    view_mm: Sequence[float] = VIEW_MM,
    aside_mm: float = 0.0,
) -> Drawing:
    """One patient; ids are 1 in the cord and 2 in lesions.

    Args:
        shape: right, anterior, superior; few along the first axis are thick sagittal slices.
        contrast: how tissues look.
        view_mm: what the array spans, about.
        aside_mm: how far to the side of the cord the middle of the array lies.
    """
    canvas = draw_canvas(rng, shape, view_mm=view_mm, warp_mm=2.0)
    signal = _SIGNAL[contrast]
    x, y, z = canvas.points
    x = x + np.float32(aside_mm)
    # The canal bends forwards in the middle of the neck.
    y = y - np.float32(rng.uniform(3, 8)) * np.cos(z / np.float32(45))
    grain = texture(rng, shape, knots=10)
    image = np.full(canvas.shape, signal["air"], np.float32)
    _paint_neck(canvas, image, (x, y), signal, grain)
    _paint_column(canvas, image, (x, y, z), signal, rng)
    canal = np.minimum(9.5 - np.hypot(x, y), 30)
    blend(image, canal + 2, signal["rim"], canvas.width)
    blend(image, canal, signal["fluid"], canvas.width)
    thick = 1 + np.float32(0.12) * np.cos((z - 10) / np.float32(30))
    cord = 5.6 * thick - np.hypot(x / np.float32(1.2), y)
    blend(image, cord, signal["cord"] + 3 * grain, canvas.width)
    lesions = _paint_lesions(canvas, image, (x, y, z, cord), signal["lesion"], rng)
    image *= np.exp(np.float32(rng.uniform(0.08, 0.2)) * smooth_noise(rng, shape, knots=2))
    image = rician(rng, image, rng.uniform(3, 6)) * np.float32(rng.uniform(0.6, 4.0))
    mask = np.where(lesions > 0, LESION, np.where(cord > 0, CORD, 0)).astype(np.uint8)
    return Drawing(image=np.rint(image)[None].astype(np.int16), mask=mask, spacing=canvas.spacing)


def _paint_neck(
    canvas: Canvas,
    image: np.ndarray,
    place: tuple[np.ndarray, np.ndarray],
    signal: dict[str, int],
    grain: np.ndarray,
) -> None:
    """Skin and fat, muscle, and the windpipe in front."""
    x, y = place
    round_neck = 1 - np.hypot(x / np.float32(62), (y - 4) / np.float32(56))
    blend(image, 56 * round_neck, signal["fat"], canvas.width)
    blend(image, 56 * round_neck - 9, signal["muscle"] + 6 * grain, canvas.width)
    blend(image, 9 - np.hypot(x, y - 42), signal["air"], canvas.width)


def _paint_column(
    canvas: Canvas,
    image: np.ndarray,
    place: tuple[np.ndarray, np.ndarray, np.ndarray],
    signal: dict[str, int],
    rng: np.random.Generator,
) -> None:
    """Vertebral bodies with discs between them in front of the canal, processes behind it."""
    x, y, z = place
    height = np.float32(rng.uniform(16, 20))
    level = (z + np.float32(rng.uniform(0, 20))) / height
    within = height * (0.5 - np.abs(level - np.rint(level)))  # mm from the middle of a disc
    front = np.minimum(9 - np.abs(y - 20), 11 - np.abs(x))
    behind = np.minimum(11 - np.abs(y + 24 + within / 2), 3 - np.abs(x))
    blend(image, front, signal["disc"], canvas.width)
    for depth in (np.minimum(front, within - 2), np.minimum(behind, within - 4)):
        blend(image, depth, signal["rim"], canvas.width)
        blend(image, depth - 1.2, signal["bone"], canvas.width)


def _paint_lesions(
    canvas: Canvas,
    image: np.ndarray,
    place: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    signal: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """One to four, longer than they are wide, within the cord; returns their depth."""
    *axes, cord = place
    straight = Canvas(points=np.stack(axes), spacing=canvas.spacing, width=canvas.width)
    reach = 0.8 * float(np.abs(axes[2]).max())
    depth = np.full(canvas.shape, -99, np.float32)
    for _ in range(rng.integers(1, 5)):
        centre = (*rng.uniform(-2.5, 2.5, 2), rng.uniform(-reach, reach))
        radii = rng.uniform((3, 2.5, 5), (4.5, 4, 12))
        depth = np.maximum(depth, ellipsoid(straight, centre, radii))
    depth = np.minimum(depth, cord - 0.5)
    blend(image, depth, signal, 0.7 * canvas.width)
    return depth
