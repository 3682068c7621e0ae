"""A brain in T1 and FLAIR with one to five irregular lesions, a bias field and Rician noise."""

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

__all__ = ["LESIONS", "draw_lesions"]

LESIONS = Subject(
    channels=("T1", "FLAIR"), labels=Labels.from_names({"lesion": 1}), shape=(64, 80, 64)
)

# Signal of each tissue in T1 and FLAIR.
_SCALP, _SKULL, _FLUID = (210, 150), (25, 20), (40, 28)
_GREY, _WHITE, _DEEP_GREY = (112, 142), (168, 108), (132, 128)
_LESION = (92, 215)


def draw_lesions(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One patient; lesions lie in white matter, mostly near the ventricles."""
    canvas = draw_canvas(rng, shape, view_mm=(175, 215, 180), warp_mm=4.0)
    folds = smooth_noise(rng, shape, knots=11)
    brain, white, ventricles = _anatomy(canvas, folds)
    grain = texture(rng, shape, knots=10)
    gain = rng.normal(1, 0.04, 2)
    image = np.zeros((2, *canvas.shape), np.float32)
    for signal, channel, scale in zip(image, range(2), gain, strict=True):
        _paint_head(canvas, signal, channel, brain)
        blend(signal, brain, _FLUID[channel], canvas.width)
        blend(signal, brain - 2, _GREY[channel] * scale + 4 * grain, canvas.width)
        blend(signal, white, _WHITE[channel] + 4 * grain, canvas.width)
        for side in (-1, 1):
            nucleus = ellipsoid(canvas, (side * 22, 4, 4), (10, 22, 13), tilt=15 * side)
            blend(signal, nucleus, _DEEP_GREY[channel], canvas.width)
        blend(signal, ventricles, _FLUID[channel], canvas.width)
    mask = _paint_lesions(canvas, image, np.minimum(white, -ventricles), ventricles, rng)
    for signal in image:
        signal *= np.exp(np.float32(rng.uniform(0.08, 0.2)) * smooth_noise(rng, shape, knots=2))
        signal[:] = rician(rng, signal, rng.uniform(4, 8))
    image *= rng.uniform(0.6, 4.0, (2, 1, 1, 1)).astype(np.float32)
    return Drawing(image=np.rint(image).astype(np.int16), mask=mask, spacing=canvas.spacing)


def _anatomy(canvas: Canvas, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths of the brain, its folded white matter, and the ventricles."""
    x, y, z = canvas.points
    cerebrum = ellipsoid(canvas, (0, 0, 8), (67, 84, 60), power=2.2)
    cerebellum = ellipsoid(canvas, (0, -48, -42), (48, 32, 25))
    stem = ellipsoid(canvas, (0, -20, -50), (13, 14, 48))
    fissure = np.abs(x) - 1.2 + 60 * ((z < 20) & (np.abs(y) < 55))
    sulci = 7 * np.abs(folds)
    cortex = np.maximum(np.minimum(cerebrum, sulci + 0.5), cerebrum - 17)
    brain = np.maximum(np.maximum(np.minimum(cortex, fissure), cerebellum), stem)
    leaves = np.sin(z * np.float32(0.9) + folds) * 4
    white = np.maximum(np.minimum(cerebrum - 6, sulci - 3.5), cerebrum - 17)
    white = np.maximum(np.maximum(white, stem - 2), cerebellum - 9 + leaves)
    white = np.minimum(white, np.abs(x) - 3 + 60 * ((z < 30) & (np.abs(y) < 45)))
    ventricles = np.full(canvas.shape, -99, np.float32)
    for side in (-1, 1):
        front = ellipsoid(canvas, (side * 9, 14, 19), (5, 26, 9), tilt=-25 * side)
        back = ellipsoid(canvas, (side * 17, -34, 12), (6, 22, 9))
        ventricles = np.maximum(ventricles, np.maximum(front, back))
    third = ellipsoid(canvas, (0, -4, 2), (3, 14, 12))
    return brain, white, np.maximum(ventricles, third)


def _paint_head(canvas: Canvas, signal: np.ndarray, channel: int, brain: np.ndarray) -> None:
    """Scalp, skull and the fluid around the brain."""
    head = ellipsoid(canvas, (0, 0, 0), (80, 98, 80), power=2.2)
    neck = ellipsoid(canvas, (0, -15, -80), (52, 55, 60))
    blend(signal, np.maximum(head, neck), _SCALP[channel] * 0.6, canvas.width)
    blend(signal, np.maximum(head, neck) - 2, _SCALP[channel], canvas.width)
    blend(signal, np.maximum(head - 6, brain + 6), _SKULL[channel], canvas.width)
    blend(signal, np.maximum(head - 11, brain + 2), _FLUID[channel], canvas.width)


def _paint_lesions(
    canvas: Canvas,
    image: np.ndarray,
    white: np.ndarray,
    ventricles: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Paint one to five lesions into both channels; returns their mask."""
    lumps = texture(rng, canvas.shape, knots=7)
    weight = np.clip(white, 0, 3) * np.exp(np.minimum(ventricles, 0) / 12)
    weight *= canvas.points[2] > -20
    chance = np.cumsum(weight.ravel(), dtype=np.float64)
    depth = np.full(canvas.shape, -99, np.float32)
    for _ in range(rng.integers(1, 6)):
        place = np.unravel_index(np.searchsorted(chance, rng.uniform(0, chance[-1])), canvas.shape)
        radius = 4.5 * np.exp(rng.uniform(0, 1.25))
        blob = ellipsoid(canvas, canvas.points[:, *place], radius * rng.uniform(0.7, 1.4, 3))
        depth = np.maximum(depth, blob + np.float32(0.28 * radius) * lumps)
    depth = np.minimum(depth, np.minimum(white + 6, -ventricles))
    strength = rng.uniform(0.65, 1.0)
    for signal, value in zip(image, _LESION, strict=True):
        blend(signal, depth, signal + np.float32(strength) * (value - signal), 1.5 * canvas.width)
    return (depth > 0).astype(np.uint8)
