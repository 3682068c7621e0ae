"""A trunk with thirteen structures, some of them absent: masks may overlap, presence is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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

__all__ = ["SCENARIOS", "STRUCTURES", "Variation", "about", "draw_scenario", "draw_structures"]

_VIEW_MM = (340, 260, 440)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """How much structures differ from patient to patient: standard deviations."""

    position_mm: float = 4.0
    """Of each coordinate of a structure's centre."""
    size: float = 0.07
    """Of each radius, as a share of it."""
    intensity: float = 0.05
    """Of the signal, as a share of it."""

    @classmethod
    def within(cls, *, position: float, size: float, intensity: float) -> "Variation":
        """The variation whose two standard deviations are these shares.

        A shift is a share of the mean side of the view, the others of radius and signal.
        """
        view_mm = sum(_VIEW_MM) / len(_VIEW_MM)
        return cls(position_mm=position * view_mm / 2, size=size / 2, intensity=intensity / 2)

    def to_json(self) -> dict[str, float]:
        """By the names of SADAAN's metadata.json, in the shares of `within`."""
        view_mm = sum(_VIEW_MM) / len(_VIEW_MM)
        return {
            "position_noise": round(2 * self.position_mm / view_mm, 6),
            "size_noise": round(2 * self.size, 6),
            "intensity_noise": round(2 * self.intensity, 6),
        }


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


def about(variation: Variation) -> Mapping[str, Any]:
    """What metadata.json says of a set of these drawings."""
    return {
        "dataset_info": "Synthetic trunks with thirteen structures, some of them absent",
        "generation_params": variation.to_json(),
        "scenarios": [
            {"name": name, "present": [s for s in _SHAPES if s not in absent], "weight": weight}
            for name, (absent, weight) in SCENARIOS.items()
        ],
    }


USUAL = Variation()
STRUCTURES = Subject(
    channels=("image",),
    labels=Labels.from_names({name: i for i, name in enumerate(_SHAPES, 1)}, overlapping=True),
    shape=(64, 64, 32),
    about=about(USUAL),
)


def draw_scenario(rng: np.random.Generator) -> str:
    """The first thing that `draw_structures` draws."""
    weights = np.array([weight for _, weight in SCENARIOS.values()])
    return list(SCENARIOS)[rng.choice(len(weights), p=weights / weights.sum())]


def draw_structures(
    rng: np.random.Generator, shape: Sequence[int], *, variation: Variation = USUAL
) -> Drawing:
    """One trunk of a drawn scenario, from 0 to 255; an absent structure leaves fat behind."""
    scenario = draw_scenario(rng)
    absent = SCENARIOS[scenario][0]
    canvas = draw_canvas(rng, shape, view_mm=_VIEW_MM, warp_mm=8.0)
    grain = texture(rng, shape, knots=7)
    values = np.full(canvas.shape, 4, np.float32)
    trunk = ellipsoid(canvas, (0, 0, 0), (152, 108, 900), power=2.3)
    blend(values, trunk, 58 + 6 * grain, canvas.width)
    blend(values, 10 - np.abs(trunk - 16), 84 + 6 * grain, canvas.width)
    masks = np.zeros((len(_SHAPES), *canvas.shape), bool)
    for mask, (name, (signal, parts)) in zip(masks, _SHAPES.items(), strict=True):
        depth = _depth(canvas, parts, rng, variation)
        signal *= max(0.1, rng.normal(1, variation.intensity))
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
    variation: Variation,
) -> np.ndarray:
    """The union of a structure's ellipsoids, moved and sized a little differently each time."""
    shift = rng.normal(0, variation.position_mm, 3)
    size = np.maximum(0.2, rng.normal(1, variation.size, 3))
    return np.maximum.reduce(
        [
            ellipsoid(canvas, np.add(centre, shift), np.multiply(radii, size), tilt=tilt)
            for centre, radii, tilt in parts
        ]
    )
