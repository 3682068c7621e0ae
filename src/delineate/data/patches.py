"""Where a training patch is cut from a case: around a place, or anywhere."""

from collections.abc import Sequence

import numpy as np

__all__ = ["patch_anywhere", "patch_around"]


def patch_around(
    rng: np.random.Generator, shape: tuple[int, ...], patch: tuple[int, ...], place: Sequence[int]
) -> tuple[int, ...]:
    """The first voxel of a patch that holds `place` in its middle half, not always in its centre.

    The patch stays inside the case; along an axis where the case is smaller, the case lies in the
    middle of the patch (a negative start).
    """
    start = []
    # Plain numbers: an array of three costs more than what is done with it.
    for chance, p, at in zip(rng.random(len(patch)).tolist(), patch, place, strict=True):
        jitter = int(chance * (2 * (p // 4) + 1)) - p // 4
        start.append(at - p // 2 + jitter)
    return _within(start, shape, patch)


def patch_anywhere(
    rng: np.random.Generator, shape: tuple[int, ...], patch: tuple[int, ...]
) -> tuple[int, ...]:
    """The first voxel of a patch, each possible one as likely; smaller cases as `patch_around`."""
    chances = rng.random(len(patch)).tolist()
    start = [int(c * (max(0, n - p) + 1)) for c, n, p in zip(chances, shape, patch, strict=True)]
    return _within(start, shape, patch)


def _within(
    start: Sequence[int], shape: tuple[int, ...], patch: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(
        (n - p) // 2 if n < p else min(max(s, 0), n - p)
        for s, n, p in zip(start, shape, patch, strict=True)
    )
