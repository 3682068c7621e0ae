"""A trunk with thirteen structures, some of them absent: masks may overlap, presence is known."""

from collections.abc import Sequence

import numpy as np

from delineate.datasets.canvas import (
    Canvas,
    Drawing,
    Subject,
    blend,
    draw_canvas,
    ellipsoid,
    texture,
)
from delineate.labels import Labels

__all__ = ["SCENARIOS", "STRUCTURES", "draw_structures"]

# Signal, then ellipsoids: centre, radii (mm), tilt (degrees). Axes are right, anterior, superior.
_SHAPES: dict[str, tuple[float, tuple[tuple[tuple[float, ...], tuple[float, ...], float], ...]]] = {
    "left_lung": (22, (((-78, 0, 130), (50, 72, 95), 6),)),
    "right_lung": (20, (((78, 0, 135), (54, 72, 90), -6),)),
    "heart": (150, (((-22, 28, 92), (50, 42, 46), 25),)),
    "liver": (128, (((76, 6, 12), (66, 78, 56), 0), ((-4, 36, 24), (62, 40, 28), 14))),
    "spleen": (142, (((-102, -34, 14), (27, 44, 42), -20),)),
    "pancreas": (106, (((14, 2, -26), (26, 15, 14), 0), ((-36, -4, -14), (42, 12, 11), -18))),
    "left_kidney": (172, (((-64, -46, -42), (27, 25, 48), 9),)),
    "right_kidney": (172, (((64, -46, -54), (27, 25, 48), -9),)),
    **{
        f"L{i}": (214, (((0, -62 + 5 * abs(i - 3), 2 - 36 * i), (25 + i, 20, 14), 0),))
        for i in range(1, 6)
    },
}
STRUCTURES = Subject(
    channels=("image",),
    labels=Labels.from_names({name: i for i, name in enumerate(_SHAPES, 1)}, overlapping=True),
    shape=(64, 64, 32),
)

_LUMBAR = ("L1", "L2", "L3", "L4", "L5")
_THORAX = ("left_lung", "right_lung", "heart")
_UPPER = ("liver", "spleen", "pancreas")
_KIDNEYS = ("left_kidney", "right_kidney")
# What is absent in each scenario, and how often it is drawn.
SCENARIOS: dict[str, tuple[tuple[str, ...], float]] = {
    "complete": ((), 0.30),
    "left_nephrectomy": (("left_kidney",), 0.08),
    "right_nephrectomy": (("right_kidney",), 0.08),
    "splenectomy": (("spleen",), 0.08),
    "pancreatectomy": (("pancreas",), 0.07),
    "left_pneumonectomy": (("left_lung",), 0.05),
    "right_pneumonectomy": (("right_lung",), 0.05),
    "splenectomy_and_left_nephrectomy": (("spleen", "left_kidney"), 0.05),
    "pancreatectomy_and_splenectomy": (("pancreas", "spleen"), 0.05),
    "sacralised_l5": (("L5",), 0.05),
    "thorax_only": ((*_UPPER, *_KIDNEYS, *_LUMBAR), 0.04),
    "abdomen_only": (_THORAX, 0.04),
    "lumbar_spine_only": ((*_THORAX, *_UPPER, *_KIDNEYS), 0.03),
    "no_lumbar_spine": (_LUMBAR, 0.03),
}


def draw_structures(rng: np.random.Generator, shape: Sequence[int]) -> Drawing:
    """One trunk of a drawn scenario, from 0 to 255; an absent structure leaves fat behind."""
    weights = np.array([weight for _, weight in SCENARIOS.values()])
    scenario = list(SCENARIOS)[rng.choice(len(weights), p=weights / weights.sum())]
    absent = SCENARIOS[scenario][0]
    canvas = draw_canvas(rng, shape, view_mm=(340, 260, 440), warp_mm=8.0)
    grain = texture(rng, shape, knots=7)
    values = np.full(canvas.shape, 4, np.float32)
    trunk = ellipsoid(canvas, (0, 0, 0), (152, 108, 900), power=2.3)
    blend(values, trunk, 58 + 6 * grain, canvas.width)
    blend(values, 10 - np.abs(trunk - 16), 84 + 6 * grain, canvas.width)
    masks = np.zeros((len(_SHAPES), *canvas.shape), bool)
    for mask, (name, (signal, parts)) in zip(masks, _SHAPES.items(), strict=True):
        depth = _depth(canvas, parts, rng)
        signal *= rng.normal(1, 0.05)
        if name not in absent:
            blend(values, depth, signal + 5 * grain, canvas.width)
            mask[:] = depth > 0
    values += rng.normal(0, 8, values.shape).astype(np.float32)
    presence = tuple(int(mask.any()) for mask in masks)
    image = np.clip(values, 0, 255)[None]
    return Drawing(
        image=image, mask=masks, spacing=canvas.spacing, presence=presence, scenario=scenario
    )


def _depth(
    canvas: Canvas,
    parts: Sequence[tuple[Sequence[float], Sequence[float], float]],
    rng: np.random.Generator,
) -> np.ndarray:
    """The union of a structure's ellipsoids, moved and sized a little differently each time."""
    shift, size = rng.normal(0, 4, 3), rng.normal(1, 0.07, 3)
    return np.maximum.reduce(
        [
            ellipsoid(canvas, np.add(centre, shift), np.multiply(radii, size), tilt=tilt)
            for centre, radii, tilt in parts
        ]
    )
