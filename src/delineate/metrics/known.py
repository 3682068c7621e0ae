"""Means of what is known: NaN is no value, and is left out."""

import numpy as np

__all__ = ["known_mean"]


def known_mean(values: np.ndarray, *, axis: int) -> np.ndarray:
    """The mean of the known values along an axis; NaN where there are none."""
    known = ~np.isnan(values)
    number = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
