"""The area under the curve of precision over recall, as average precision.

Precision is weighted by the recall that each threshold adds, without interpolation, which would be
too kind where there are few cases. Equal scores are one threshold. It needs a case with the class.
"""

from collections.abc import Sequence
from math import nan

import numpy as np

__all__ = ["average_precision"]


def average_precision(scores: Sequence[float] | np.ndarray, present: np.ndarray) -> float:
    """Sum over thresholds of the step in recall times the precision; NaN without a positive case.

    Args:
        scores: Higher is surer that the class is there; NaN gives NaN.
        present: Whether it is, per case.
    """
    values, there = np.asarray(scores, np.float64), np.asarray(present, bool)
    if not there.any() or np.isnan(values).any():
        return nan
    order = np.argsort(-values, kind="stable")
    # The last place of each run of equal scores is where a threshold can lie.
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.cumsum(there[order])[last]
    steps = np.diff(found, prepend=0) / there.sum()
    return float(np.sum(steps * found / (last + 1)))
