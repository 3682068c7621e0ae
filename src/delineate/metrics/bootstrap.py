"""How far a mean over cases may be trusted: a seeded bootstrap over the cases."""

from collections.abc import Sequence

import numpy as np

__all__ = ["mean_interval"]

RESAMPLES = 10_000
CHUNK = 1 << 20


def mean_interval(
    values: Sequence[float] | np.ndarray, *, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of the mean; NaN entries are left out, fewer than two give NaN."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if known.size < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    at_once = max(1, CHUNK // known.size)
    means = [
        known[rng.integers(0, known.size, (min(at_once, RESAMPLES - start), known.size))].mean(1)
        for start in range(0, RESAMPLES, at_once)
    ]
    tail = 50 * (1 - level)
    low, high = np.percentile(np.concatenate(means), (tail, 100 - tail))
    return float(low), float(high)
