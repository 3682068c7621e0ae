"""Which voxels of a T1 are brain, roughly: enough to say how much of it a lesion takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["find_brain"]

MM = 2.0
"""What is worked on has voxels of at least this length."""
HEAD_LITRES = 2.2
"""More than a skull holds: what is not zero is then a head, not a brain that was cut out."""
LEAST_LITRES = 0.5
THIN_MM = 4
"""What joins the brain to the scalp is thinner than twice this."""
SULCUS_MM = 16
BINS = 256


def find_brain(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """True in the brain, its ventricles and sulci.

    Of a head it is the largest bright part that stays in one piece when thin bridges are cut; where
    the scalp is cut away already, or no brain is found, it is all that is not zero.
    """
    present = np.isfinite(image) & (image > image.min())
    if _litres(present, spacing) < HEAD_LITRES:
        return present
    steps = [max(1, round(MM / mm)) for mm in spacing]
    coarse = image[tuple(slice(None, None, step) for step in steps)]
    millimetres = [step * mm for step, mm in zip(steps, spacing, strict=True)]
    found = _largest_bright_part(coarse, float(np.mean(millimetres)))
    if _litres(found, millimetres) < LEAST_LITRES:
        return present
    for axis, step in enumerate(steps):
        found = found.repeat(step, axis)
    return found[tuple(slice(n) for n in image.shape)]


def _litres(inside: np.ndarray, spacing: Sequence[float]) -> float:
    return float(inside.sum() * np.prod(spacing) / 1e6)


def _largest_bright_part(image: np.ndarray, mm: float) -> np.ndarray:
    from scipy import ndimage

    thin, sulcus = max(1, round(THIN_MM / mm)), max(1, round(SULCUS_MM / mm))
    lit = image[np.isfinite(image) & (image > image.min())]
    bright = np.pad(image > _threshold(lit), sulcus + 1)
    pieces: Any = ndimage.label(ndimage.binary_erosion(bright, iterations=thin))
    sizes = np.bincount(pieces[0].ravel())
    if len(sizes) == 1:
        return np.zeros(image.shape, bool)
    largest = pieces[0] == 1 + int(np.argmax(sizes[1:]))
    whole = ndimage.binary_dilation(largest, iterations=thin + sulcus)
    whole = ndimage.binary_fill_holes(ndimage.binary_erosion(whole, iterations=sulcus))
    return np.asarray(whole)[(slice(sulcus + 1, -sulcus - 1),) * image.ndim]


def _threshold(values: np.ndarray) -> float:
    """Otsu's: the two sides differ most."""
    counts, edges = np.histogram(values, BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums / below - (sums[-1] - sums) / above
    return float(centres[np.nanargmax(below * above * apart**2)])
