"""Signed distances of every class, made once per case and kept beside it, read by the box.

A case's file holds one array per class that has a surface there, `distance_1`, ..., in units of the
finest spacing, as float16: a rounding of at most 0.05 % of the distance. The maps are those of the
whole case, not of a patch, so a patch knows of structures that it does not hold. A voxel that is
ignored counts as outside every class. Over the border of a case, where masks are background,
distances go on growing, so that their sign is that of the mask there too.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.data.cache import Cache
from delineate.data.every_case import Progress, for_every_case
from delineate.data.store import open_case, write_case
from delineate.geometry import signed_distance
from delineate.plan import Plan

__all__ = ["make_distances"]

_FORMAT = 1
"""Raised by one whenever the file of a case's distances changes its meaning."""


def make_distances(
    cache: Cache,
    plan: Plan,
    ids: Sequence[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Make what is missing of the distances of these cases; the cache that can read them.

    A case's distances are there completely or not at all, so an interrupted run goes on where it
    stopped. A case without a mask gets none, and reads as zero.

    Args:
        cache: Prepared with `plan`.
        plan: Gives spacing and labels.
        ids: The cases to train on.
        workers: Threads; None means one per processor, at most eight.
        progress: Wraps the cases as they are finished.
    """
    homes = {case: _home(cache.arrays(case)["image"].path) for case in ids if cache.labelled(case)}
    missing = [case for case, home in homes.items() if not home.is_file()]
    # Kept in memory, the masks would take the room of what training reads.
    once = cache.with_ram(0.0)

    def make(case: str) -> None:
        write_case(homes[case], _arrays(once.read_mask(case), plan), cache.facts(case))

    for_every_case(missing, make, homes, workers=workers, progress=progress, what="distances")
    return cache.with_arrays({case: open_case(home).arrays for case, home in homes.items()})


def _home(case: Path) -> Path:
    return case.with_suffix(f".distances{_FORMAT}")


def _arrays(mask: np.ndarray, plan: Plan) -> Iterator[tuple[str, np.ndarray]]:
    """The spacing and one map at a time: all of them at once may not fit into memory."""
    yield "spacing", np.array(plan.spacing)
    unit = np.float32(min(plan.spacing))
    for channel in range(plan.labels.channels):
        filled: Any = mask[channel] != 0 if plan.labels.overlapping else mask == channel
        distance = signed_distance(filled, plan.spacing)
        if distance is not None:
            distance /= unit
            yield f"distance_{channel}", distance.astype(np.float16)
