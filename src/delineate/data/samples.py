"""The arrays of any training step, filled in place; without PyTorch, so that readers start fast."""

import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from delineate.data.cache import Cache
from delineate.data.sampling import Sampling
from delineate.errors import DataError
from delineate.plan import Plan

__all__ = ["Samples", "Shapes"]

Shapes = dict[str, tuple[tuple[int, ...], str]]
"""Shape and type of each array of a batch, by name."""


class Samples:
    """Fills a step's `image` (b, c, *s), `place` (b, d, 2), and whatever else `shapes` names.

    Args:
        cache: The prepared cases.
        sampling: Which case a sample shows, and where.
        plan: Gives patch and labels.
        read_patch: Voxels to read, the plan's patch in their middle.
        batch_size: Samples per step.
        masks: Whether there are masks to read.
        distance: Whether to read signed distances.
    """

    def __init__(
        self,
        cache: Cache,
        sampling: Sampling,
        *,
        plan: Plan,
        read_patch: tuple[int, ...],
        batch_size: int,
        masks: bool,
        distance: bool,
    ) -> None:
        self._cache = cache
        self._sampling = sampling
        self._patch = plan.patch
        self._read = read_patch
        self._axis = plan.slice_axis
        self._seen = plan.seen_axes
        self.batch_size = batch_size
        self.shapes = _shapes(plan, read_patch, batch_size, masks=masks, distance=distance)

    def fill(self, step: int, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        """Write the samples of a step; their cases. An error names the case it met."""
        cases = []
        for slot in range(self.batch_size):
            case, start = self._sampling(step * self.batch_size + slot)
            try:
                self._read_sample(case, start, {name: a[slot] for name, a in arrays.items()})
            except Exception as error:
                raise _named(error, case, step) from error
            cases.append(case)
        return tuple(cases)

    def _read_sample(
        self, case: str, start: tuple[int, ...], arrays: Mapping[str, np.ndarray]
    ) -> None:
        begin = tuple(
            a - (r - p) // 2 for a, r, p in zip(start, self._read, self._patch, strict=True)
        )
        end = tuple(a + r for a, r in zip(begin, self._read, strict=True))
        whole = self._cache.shape(case)
        arrays["place"][:] = [(begin[a] / whole[a], end[a] / whole[a]) for a in self._seen]
        arrays = {name: a for name, a in arrays.items() if name != "place"}
        if self._axis is not None:
            # A slice has no such axis in the batch, but one voxel along it in the case.
            axis = self._axis - len(self._read)
            arrays = {name: np.expand_dims(a, axis) for name, a in arrays.items()}
        self._cache.read_image(case, begin, end, out=arrays["image"])
        if "mask" in arrays:
            self._cache.read_mask(case, begin, end, out=arrays["mask"])
        if "distance" in arrays:
            self._cache.read_distance(case, begin, out=arrays["distance"])


def _shapes(
    plan: Plan, read: tuple[int, ...], batch_size: int, *, masks: bool, distance: bool
) -> Shapes:
    space = tuple(read[axis] for axis in plan.seen_axes)
    layers = (batch_size, plan.labels.channels, *space)
    shapes: Shapes = {
        "image": ((batch_size, len(plan.channels), *space), "float32"),
        "place": ((batch_size, len(space), 2), "float32"),
    }
    if masks and plan.labels.overlapping:
        shapes["mask"] = layers, "float32"
    elif masks:
        shapes["mask"] = (batch_size, *space), "int64"
    if distance:
        shapes["distance"] = layers, "float32"
    return shapes


def _named(error: Exception, case: str, step: int) -> Exception:
    """The same trouble with the case's name, fit to be sent to another process."""
    kind: Any = MemoryError if isinstance(error, MemoryError) else DataError
    said = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
    named = kind(f"{case}: {said} (while reading a patch for step {step})")
    named.add_note("".join(traceback.format_exception(error)))
    return named
