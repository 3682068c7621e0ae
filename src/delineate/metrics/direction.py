"""Which way a figure is better, and what values it can take, by the name of its column.

A distance (`*_mm`), a difference of volumes or of counts, a calibration error and violations of a
hierarchy are better when lower; a volume, a number of lesions or whether a structure is there is
neither; all else is better when higher.
"""

import re
from math import inf, isfinite
from typing import Literal

__all__ = ["Direction", "bounds", "difference_bounds", "direction"]

Direction = Literal["higher", "lower", "neither"]

LOWER = re.compile(r"_mm$|difference|error|violation|^(false|missed)_|(^|_)(ece|brier|nll)(_|$)")
NEITHER = re.compile(r"volume_ml$|lesions$|count$|voxels$|present$")
SHARE = re.compile(
    r"dice|iou|f1|sensitivity|specificity|precision|recall|accuracy|(^|_)(auc|ece|brier)(_|$)"
)


def direction(metric: str) -> Direction:
    """Whether a higher or a lower figure is better; 'neither' where it only describes."""
    if LOWER.search(metric):
        return "lower"
    return "neither" if NEITHER.search(metric) else "higher"


def bounds(metric: str) -> tuple[float, float]:
    """The least and the greatest value that a figure can take."""
    if SHARE.search(metric) and not metric.endswith("_mm"):
        return 0.0, 1.0
    return (-inf if direction(metric) == "higher" else 0.0), inf


def difference_bounds(metric: str) -> tuple[float, float]:
    """The least and the greatest difference of two such figures."""
    low, high = bounds(metric)
    return (low - high, high - low) if isfinite(high - low) else (-inf, inf)
