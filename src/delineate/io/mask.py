"""Whole numbers for labels: what may be rounded, and the smallest type that holds them."""

import numpy as np

from delineate.errors import DataError

__all__ = ["TOLERANCE", "smallest_type", "whole_numbers"]

TOLERANCE = 1e-3
"""Float labels this close to a whole number are rounded: resampling tools leave such dust."""
_TYPES = ("u1", "i2", "u2", "i4", "u4", "i8")


def whole_numbers(array: np.ndarray, path: str) -> np.ndarray:
    """The array in the smallest integer type; values that are no labels are an error."""
    if array.dtype.kind == "f":
        array = _rounded(array, path)
    return array if array.dtype.itemsize <= 2 else smallest_type(array)


def smallest_type(array: np.ndarray) -> np.ndarray:
    """Integers or booleans in the first of uint8, int16, uint16, int32, uint32, int64 that fits."""
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise ValueError(f"a mask must hold integers or booleans, got {array.dtype}")
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for name in _TYPES:
        facts = np.iinfo(name)
        if facts.min <= low and high <= facts.max:
            return array.astype(name, copy=False)
    raise ValueError(f"mask values up to {high} do not fit any integer type")


def _rounded(array: np.ndarray, path: str) -> np.ndarray:
    # Nearly all float masks hold whole numbers: one cast and one comparison settle those.
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int32)
    if np.array_equal(whole, array):
        return whole
    nearest = np.rint(array)
    with np.errstate(invalid="ignore"):
        odd = ~(np.abs(array - nearest) <= TOLERANCE)
    if odd.any():
        examples = ", ".join(f"{value:.6g}" for value in np.unique(array[odd])[:5])
        raise DataError(
            f"{path}: a mask must hold whole numbers, but {int(odd.sum()):,} of {array.size:,} "
            f"voxels do not: {examples}. Within {TOLERANCE:g} they would be rounded. "
            "Fix: save labels, not probabilities, and resample masks with nearest neighbour."
        )
    return nearest.astype(np.int64)
