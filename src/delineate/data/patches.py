"""Where a training patch is cut from a case."""

from collections.abc import Mapping

import numpy as np

__all__ = ["draw_patch"]


def draw_patch(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    patch: tuple[int, ...],
    foreground: Mapping[int, np.ndarray],
    *,
    share: float,
) -> tuple[int, ...]:
    """The first voxel of a patch: around a structure with probability `share`, else anywhere.

    A class is drawn evenly from those present, then one of its voxels, which comes to lie in the
    middle half of the patch, not always in its centre. The patch stays inside the case; along an
    axis where the case is smaller, the case lies in the middle of the patch (a negative start).

    Args:
        rng: The only source of chance.
        shape: Of the case.
        patch: Of the patch.
        foreground: Places (n, d) by channel; may be empty.
        share: Between 0 and 1.
    """
    size, wanted = np.array(shape), np.array(patch)
    around = rng.random() < share
    if around and foreground:
        places = foreground[sorted(foreground)[rng.integers(len(foreground))]]
        centre = places[rng.integers(len(places))].astype(np.int64)
        jitter = rng.integers(-(wanted // 4), wanted // 4, endpoint=True)
        start = np.clip(centre - wanted // 2 + jitter, 0, np.maximum(size - wanted, 0))
    else:
        start = rng.integers(0, np.maximum(size - wanted, 0), endpoint=True)
    centred = (size - wanted) // 2
    return tuple(int(v) for v in np.where(size < wanted, centred, start))
