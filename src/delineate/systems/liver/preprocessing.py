"""One CT as the networks see it: resampled, its Hounsfield units clipped and brought near zero.

No step looks at the labels, so a scan is prepared alike whether or not it has any.
"""

from typing import NamedTuple

import numpy as np

from delineate.data.preprocess import normalise
from delineate.errors import DataError
from delineate.io import Volume
from delineate.plan import Normalisation
from delineate.systems.liver.grid import Grid
from delineate.systems.liver.settings import PreprocessingConfig

__all__ = ["PreparedVolume", "prepare_mask", "prepare_volume"]


class PreparedVolume(NamedTuple):
    """A scan on the grid of the networks."""

    array: np.ndarray
    """(1, *s) float32."""
    grid: Grid
    """The way back to the scan."""
    normalisation: Normalisation
    """How Hounsfield units became what the array holds."""


def prepare_volume(volume: Volume, settings: PreprocessingConfig) -> PreparedVolume:
    """Resample, clip to the window of HU, normalise, and pad with the window's lower end."""
    _check(volume)
    grid = Grid.plan(
        volume.source,
        spacing=tuple(settings.target_spacing),
        size=None if settings.target_size is None else tuple(settings.target_size),
    )
    low, high = settings.intensity_range
    # A spline swings a little beyond the values that it runs through: clip after it.
    image = np.clip(grid.resample(volume.array), np.float32(low), np.float32(high))
    rule = _rule(image, settings.normalize_method, float(low), float(high))
    array = normalise(image, (rule,))
    fill = (rule.low - rule.mean) / rule.deviation
    return PreparedVolume(grid.pad(array, fill), grid, rule)


def prepare_mask(mask: Volume, grid: Grid) -> np.ndarray:
    """Ids (*s) on the grid of a prepared scan: the largest share of a voxel wins."""
    if mask.shape != grid.scan_shape:
        raise ValueError(f"a mask of shape {mask.shape} is not on a scan of {grid.scan_shape}")
    return grid.pad(grid.resample_mask(mask.array[0]), 0)


def _rule(image: np.ndarray, method: str, low: float, high: float) -> Normalisation:
    """What to clip to, subtract and divide by; the body is what lies above the window's end."""
    if method == "minmax":
        return _clipped(low, high, mean=low, deviation=high - low)
    body = image[image > low]
    if not len(body):
        return _clipped(low, high, mean=low, deviation=high - low)
    if method == "robust":
        first, last = (float(p) for p in np.percentile(body, (1, 99)))
        return _clipped(first, last, mean=first, deviation=last - first)
    mean = float(body.mean(dtype=np.float64))
    deviation = float(np.sqrt(np.square(body - np.float32(mean)).mean(dtype=np.float64)))
    return _clipped(low, high, mean=mean, deviation=deviation)


def _clipped(low: float, high: float, *, mean: float, deviation: float) -> Normalisation:
    """A body of one value has no deviation: it is only shifted."""
    spread = deviation if deviation > 1e-6 * max(1.0, abs(mean)) else 1.0
    return Normalisation(kind="ct", mean=mean, deviation=spread, low=low, high=high)


def _check(volume: Volume) -> None:
    if len(volume.array) != 1 or len(volume.shape) != 3:
        raise DataError(
            f"the scan has {len(volume.array)} channels of {len(volume.shape)} axes. "
            "Fix: give a CT, one channel of three axes."
        )
    if not np.isfinite(volume.array).all():
        raise DataError(
            "the scan holds voxels that are NaN or infinite. "
            "Fix: delineate doctor DATA --fix OUT writes a copy without them."
        )
