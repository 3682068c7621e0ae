"""The largest patch and batch whose training step fits in memory."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from delineate.errors import PlanError
from delineate.plan.plan import Plan

__all__ = ["Fit", "Limits", "fit"]

Patch = tuple[int, ...]

SMALLEST_BATCH = 2
"""nnU-Net's: a patch shrinks rather than go below it."""
BATCH_SHARE = 0.05
"""One batch sees no more than this part of the data set's voxels: larger ones train worse there."""
LARGEST_BATCH = {("cpu", 3): 2, ("cpu", 2): 4, ("gpu", 3): 9, ("gpu", 2): 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds a batch."""

    memory_gb: float
    memory_why: str
    voxels: float
    """In the whole data set, at the target spacing."""
    on_cpu: bool
    batch_size: int | None
    """Asked for by the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A patch and a batch size that fit, with their measured memory."""

    patch: Patch
    batch_size: int
    memory_gb: float
    tried: int
    """How many larger patches did not fit."""
    why_batch: str


def fit(
    draw: Callable[[Patch, int], Plan],
    patches: Sequence[Patch],
    limits: Limits,
    *,
    estimate: Callable[[Plan], float],
    measure: Callable[[Plan], float],
) -> Fit:
    """Search the patches, largest first, by the quick `estimate`; `measure` has the last word.

    When nothing fits, the PlanError names the least memory that would do.
    """
    estimated = cache(lambda patch, batch: estimate(draw(patch, batch)))
    measured = estimated if measure is estimate else cache(lambda p, b: measure(draw(p, b)))
    batch = limits.batch_size or SMALLEST_BATCH
    index = bisect_left(patches, True, key=lambda p: estimated(p, batch) <= limits.memory_gb)
    while index < len(patches) and measured(patches[index], batch) > limits.memory_gb:
        index += 1
    if index == len(patches):
        index, batch = len(patches) - 1, limits.batch_size or 1
        if (least := measured(patches[index], batch)) > limits.memory_gb:
            raise _too_little(
                patches[index], batch, estimated(patches[index], batch), least, limits
            )
    patch = patches[index]
    why = "As asked for."
    if limits.batch_size is None:
        batch, why = _grow_batch(lambda b: measured(patch, b), batch, patch, limits)
    return Fit(
        patch=patch,
        batch_size=batch,
        memory_gb=measured(patch, batch),
        tried=index,
        why_batch=why,
    )


def _grow_batch(
    memory: Callable[[int], float], batch: int, patch: Patch, limits: Limits
) -> tuple[int, str]:
    """The largest batch within memory, data set and custom; the reason names what bounds it."""
    most, why = _most_at_once(patch, limits)
    allowed = f"of the {limits.memory_gb:.1f} GB allowed"
    if batch >= most and batch == SMALLEST_BATCH:
        return batch, why
    if batch < SMALLEST_BATCH:
        return batch, f"A second patch would exceed the {limits.memory_gb:.1f} GB allowed."
    if memory(most) <= limits.memory_gb:
        return most, f"{why} Memory: {memory(most):.1f} {allowed}."
    # Memory grows by the same amount with each further patch, or the card ran out.
    first = memory(batch)
    each = (memory(most) - first) / (most - batch)
    size = batch + int((limits.memory_gb - first) / each) if math.isfinite(each) else most - 1
    while size > batch and memory(size) > limits.memory_gb:
        size -= 1
    return (
        size,
        f"More would exceed the {limits.memory_gb:.1f} GB allowed; the data set allows {most}.",
    )


def _most_at_once(patch: Patch, limits: Limits) -> tuple[int, str]:
    place = "cpu" if limits.on_cpu else "gpu"
    custom = LARGEST_BATCH[place, len(patch)]
    share = max(SMALLEST_BATCH, round(BATCH_SHARE * limits.voxels / prod(patch)))
    if share <= custom:
        return share, (
            f"One batch sees about {BATCH_SHARE:.0%} of the {limits.voxels / 1e6:.3g} million "
            f"voxels of all cases, but never less than {SMALLEST_BATCH} patches."
        )
    if limits.on_cpu:
        return custom, (
            "On a CPU a step takes as long as its batch is large: more, smaller steps learn more "
            "in the same time."
        )
    return custom, "Larger batches cost time in proportion and did not train better where measured."


def _too_little(
    patch: Patch, batch: int, estimated: float, measured: float, limits: Limits
) -> PlanError:
    least = measured if math.isfinite(measured) else estimated
    size = "x".join(map(str, patch))
    return PlanError(
        f"plan: no patch fits in memory: {size} voxels with batch {batch} takes {least:.2f} GB of "
        f"the {limits.memory_gb:.2f} GB allowed ({limits.memory_why}).\n"
        f"  Fix: plan.memory_gb={math.ceil(least * 100) / 100:.2f} would do, or ask for a smaller "
        "plan.patch or plan.width."
    )
