"""Morphogen gradients: where along the three axes of the brainstem a voxel lies, from 0 to 1.

Axes are those of all volumes here, canonical RAS+: axis 0 runs from left to right (ML, medio-
lateral), axis 1 from the back to the front (DV, from dorsal to ventral), axis 2 from below upwards
(AP along the neuraxis, from the medulla to the midbrain). Coordinates run over the whole volume, so
a patch has the values of its place.

- `fields`, for input channels, in the order AP, DV, ML. With z, y from 0 to 1 and x from -1 to 1
      AP = exp(-z / 0.15) + 0.9 exp(-(1 - z) / 0.15)
      DV = 0.8 exp(-y / 0.2) + 0.7 exp(-(1 - y) / 0.2)
      ML = exp(-|x| / 0.25)
  each plus smooth noise and stretched to 0..1.
- `deformation_weight`, for bending: 1 - 0.5 (0.4 AP + 0.3 DV + 0.3 ML) of the linear gradients
      AP = 1 - 0.9 z,  DV = 1 - 0.9 y,  ML = 1 - |x|.

How we differ from the origin: the noise has a seed, and the weights are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["CHANNELS", "MorphogenConfig", "calm_lists", "deformation_weight", "fields"]

CHANNELS = ("AP", "DV", "ML")
"""The names of the fields, in their order."""
WHOLE = ((0.0, 1.0),) * 3
KNOTS = 65
"""Of a gradient over part of a volume."""
_LINES: tuple[tuple[float, ...], ...] = ((0.0, 0.15, 0.0), (0.15, 0.015), (0.2, 0.02))
"""0.5 times 0.3 ML, 0.3 DV and 0.4 AP, by axis: linear between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MorphogenConfig:
    """How fast the gradients fall, and their noise."""

    ap_decay: float = 0.15
    """As a share of the axis, like those below."""
    dv_decay: float = 0.20
    ml_decay: float = 0.25
    """As a share of half the axis."""
    noise_amplitude: float = 0.1
    """The deviation of independent noise, before it is smoothed."""
    noise_frequency: float = 0.05
    """1 / the deviation in voxels of the Gaussian that smooths it."""

    def __post_init__(self) -> None:
        positive = (self.ap_decay, self.dv_decay, self.ml_decay, self.noise_frequency)
        if min(positive) <= 0 or self.noise_amplitude < 0:
            raise ValueError(f"{self}. Fix: numbers above 0; noise_amplitude may be 0.")


def fields(shape: Sequence[int], seed: int, config: MorphogenConfig | None = None) -> np.ndarray:
    """AP, DV and ML of a whole volume, (3, *s) float32 from 0 to 1: a function of the arguments.

    Args:
        shape: voxels along the axes, RAS+.
        seed: of the noise, which is another one in each field.
    """
    wish = config or MorphogenConfig()
    x, y, z = (np.linspace(0, 1, n, dtype=np.float32) for n in shape)
    gradients = (
        _both_ends(z, wish.ap_decay, 1.0, 0.9),
        _both_ends(y, wish.dv_decay, 0.8, 0.7)[:, None],
        np.exp(-np.abs(2 * x - 1) / wish.ml_decay)[:, None, None],
    )
    found = np.empty((3, *shape), np.float32)
    for number, (field, gradient) in enumerate(zip(found, gradients, strict=True)):
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        field[:] = gradient
        if wish.noise_amplitude:
            field += _smooth_noise(shape, rng, wish)
        low, high = field.min(), field.max()
        field -= low
        field /= max(high - low, np.float32(1e-6))
    return found


def deformation_weight(shape: Sequence[int]) -> np.ndarray:
    """How freely each voxel of a whole volume may move, (*s) float32 from 0.65 to 1."""
    lines = calm_lists(knots=None)
    total = np.ones(tuple(shape), np.float32)
    for axis, (n, line) in enumerate(zip(shape, lines, strict=True)):
        values = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(line)), line)
        total -= values.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return total


def calm_lists(
    within: Sequence[tuple[float, float]] = WHOLE, *, knots: int | None = KNOTS
) -> list[list[float]]:
    """1 - `deformation_weight` as `augment.AnatomicElastic` takes it in `calm`.

    Args:
        within: where a case lies in its volume, as shares of each axis.
        knots: how many values describe an axis of part of a volume; None is the whole.
    """
    if knots is None or all((low, high) == (0, 1) for low, high in within):
        return [list(line) for line in _LINES]
    return [
        np.interp(np.linspace(low, high, knots), np.linspace(0, 1, len(line)), line).tolist()
        for (low, high), line in zip(within, _LINES, strict=True)
    ]


def _both_ends(place: np.ndarray, decay: float, first: float, last: float) -> np.ndarray:
    return first * np.exp(-place / decay) + last * np.exp(-(1 - place) / decay)


def _smooth_noise(
    shape: Sequence[int], rng: np.random.Generator, wish: MorphogenConfig
) -> np.ndarray:
    """Smoothed independent noise, made on a grid as fine as it is smooth."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    sigma = 1 / wish.noise_frequency
    step = max(1, int(sigma / 4))
    coarse = [-(-n // step) + 1 for n in shape]
    # The mean of step^3 voxels has so much less of a deviation.
    deviation = wish.noise_amplitude / step ** (len(coarse) / 2)
    noise = rng.normal(0, deviation, coarse).astype(np.float32)
    noise = gaussian_filter(noise, sigma / step, mode="reflect")
    if step == 1:
        return noise[tuple(slice(n) for n in shape)]
    found = np.empty(tuple(shape), np.float32)
    rows = np.arange(shape[1])[:, None] / step, np.arange(shape[2])[None] / step
    # A plane at a time: coordinates take three times the room of what they are for.
    for number, plane in enumerate(found):
        grid = np.broadcast_arrays(np.float32(number / step), *rows)
        plane[:] = map_coordinates(noise, grid, order=1)
    return found
