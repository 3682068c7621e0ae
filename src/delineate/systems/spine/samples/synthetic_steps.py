"""Steps that change a picture by drawn fields: synthetic lesions in a cord, and shading.

A lesion is an ellipse within the cord, brighter than the cord's median by a quarter to one and a
quarter of it, 200 of 255 at most, with a texture of smoothed noise and a soft edge. Its mask takes
the place of the cord's. The shading is a smooth polynomial of the place, between 0.8 and 1.2.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter

from delineate.errors import ConfigError
from delineate.systems.spine.slices.sample import Apply, Sample, is_mask

__all__ = ["custom_bias_field", "lesion_aug"]

BRIGHTER: Final = (1.25, 2.25)
BRIGHTEST: Final = 200 / 255
NARROWER: Final = (0.6, 1.0)
TEXTURE: Final = (0.75, 1.25)
GRAIN: Final = 2.0
"""Sigma of the texture's smoothing, in pixels."""
EDGE: Final = 1.0
"""Sigma of a lesion's edge, in pixels."""
SHADING: Final = (0.8, 1.2)


def lesion_aug(
    *,
    min_lesions: int = 1,
    max_lesions: int = 3,
    min_size: float = 5,
    max_size: float = 25,
    evaluation: bool = False,
) -> Apply:
    """Lesions in the cord that the mask shows; an empty mask leaves image and mask as they are.

    Args:
        min_lesions: At least so many.
        max_lesions: At most.
        min_size: The shortest long radius, in pixels.
        max_size: The longest.
        evaluation: Whether lesions are drawn in val and test too, the same in every epoch.
    """
    if not 1 <= min_lesions <= max_lesions:
        raise ConfigError(f"lesions from {min_lesions} to {max_lesions}: no range from 1 on.")
    if not 0 < min_size <= max_size:
        raise ConfigError(f"sizes from {min_size:g} to {max_size:g}: no range above 0.")

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        cord = sample.label
        if not is_mask(cord) or not cord.any():
            return sample
        number = int(rng.integers(min_lesions, max_lesions + 1))
        places = np.argwhere(cord)
        shape = np.zeros(cord.shape, bool)
        for _ in range(number):
            centre = places[int(rng.integers(len(places)))]
            radius = rng.uniform(min_size, max_size)
            shape |= _ellipse(cord.shape, centre, radius, rng)
        mask = shape & (cord > 0)
        image = _painted(sample.image, mask, cord > 0, rng)
        return replace(sample, image=image, label=mask.astype(np.uint8))

    return apply


def _ellipse(
    size: tuple[int, ...], centre: np.ndarray, radius: float, rng: np.random.Generator
) -> np.ndarray:
    """Where a turned ellipse is; its centre always."""
    turn = rng.uniform(0, np.pi)
    narrow = radius * rng.uniform(*NARROWER)
    rows, columns = np.ogrid[: size[0], : size[1]]
    down, right = rows - centre[0], columns - centre[1]
    along = down * np.cos(turn) + right * np.sin(turn)
    across = right * np.cos(turn) - down * np.sin(turn)
    return (along / radius) ** 2 + (across / narrow) ** 2 <= 1


def _painted(
    image: np.ndarray, lesion: np.ndarray, cord: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The image with lesions in it, within the cord alone."""
    most = 255.0 if image.dtype == np.uint8 else 1.0
    inside = image[cord].astype(np.float32)
    level = min(BRIGHTEST * most, float(np.median(inside)) * rng.uniform(*BRIGHTER))
    noise = gaussian_filter(rng.standard_normal(lesion.shape, np.float32), GRAIN)
    texture = _between(noise, *TEXTURE)
    share = np.where(cord, gaussian_filter(lesion.astype(np.float32), EDGE), 0)
    deep = image.astype(np.float32)
    if image.ndim == 3:
        share, texture = share[..., None], texture[..., None]
    return _as(deep + share * (level * texture - deep), image.dtype)


def custom_bias_field(
    *, coefficient_range: tuple[float, ...] = (0.3, 0.7), order: int = 3, p: float = 0.5
) -> Apply:
    """Uneven brightness, as of a coil.

    Args:
        coefficient_range: Of the polynomial's coefficients.
        order: Its degree.
        p: How often.
    """
    if len(coefficient_range) != 2 or coefficient_range[0] > coefficient_range[1]:
        raise ConfigError(f"coefficient_range: {list(coefficient_range)} is no range.")
    if order < 1 or not 0 <= p <= 1:
        raise ConfigError(f"order {order} and p {p:g}: wants an order from 1 and a probability.")
    low, high = coefficient_range

    def apply(sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= p:
            return sample
        image = sample.image
        field = _polynomial(image.shape[:2], lambda: rng.uniform(low, high), order)
        field = _between(gaussian_filter(field, min(image.shape[:2]) / 30), *SHADING)
        field = field[..., None] if image.ndim == 3 else field
        return replace(sample, image=_as(image.astype(np.float32) * field, image.dtype))

    return apply


def _polynomial(size: tuple[int, ...], draw: Callable[[], float], order: int) -> np.ndarray:
    """The sum of c x^i y^j, i + j up to the order, x and y from -1 to 1 over rows and columns."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in size)
    field = np.zeros(size, np.float32)
    for i in range(order + 1):
        for j in range(order + 1 - i):
            field += np.float32(draw()) * np.outer(rows**i, columns**j)
    return field


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scaled so that the least is `low` and the greatest `high`; all of one value is 1."""
    least, greatest = float(values.min()), float(values.max())
    if greatest <= least:
        return np.ones_like(values)
    return low + (values - least) * ((high - low) / (greatest - least))


def _as(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    """In the type of the image; whole numbers are rounded and kept within their range."""
    if kind.kind not in "iu":
        return values.astype(kind)
    most = np.iinfo(kind).max
    return np.clip(np.rint(values), 0, most).astype(kind)
