"""How a mask is made within a budget of memory, worked out before anything is predicted.

What counts is the whole process, and the whole use of the card. As long as the budget allows, the
scan is summed in one piece and in single precision. Then batches get smaller, which costs nothing
but speed; then the scan is cut into tiles, which costs windows that are predicted twice; sums in
half precision come when tiles would cost more than half of the work again. On a card, sums move to
main memory before that price is exceeded. A smaller overlap is never chosen: the sums are as deep
as a window whatever the overlap, so it would not save memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, prod
from typing import NamedTuple

import torch

from delineate.data import Prepared
from delineate.errors import DataError
from delineate.inference.allocator import give_back
from delineate.inference.decision import SCRATCH
from delineate.inference.forward_memory import count_window, held_bytes, measure_window
from delineate.inference.job import Job, make_job
from delineate.inference.sliding import Network, Windows
from delineate.inference.tiles import Tiling, tilings
from delineate.plan.main_memory import measure_memory

__all__ = ["Forecast", "foresee"]

GB = 1e9
_CPU = torch.device("cpu")
_KINDS = (torch.float32, torch.float16)

_MODERATE = 1.5
"""The work that tiles may cost before sums are halved."""
_SHARE = 0.8
"""The part of what is free that is used where nobody sets a budget."""
_FIRST_USE = 60_000_000
"""Bytes of code and tables that the first prediction of a process brings into main memory."""
_CONTEXT = 600_000_000
"""Bytes of a card that CUDA itself takes."""
_ROUNDING = 50_000_000
"""Bytes by which two runs of the same process may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How a mask will be made, and the memory that the process then holds at its peak."""

    axis: int
    """The axis that is streamed along."""
    tiling: Tiling
    batch: int
    """Windows that go through the network together."""
    sums: torch.dtype
    sums_device: torch.device
    memory_gb: float
    """Main memory, of the whole process."""
    card_gb: float | None
    """The card's memory; None without a card."""
    spare: bool
    """Whether there is room for memory that is kept for the next window (see `allocator.py`)."""
    notes: tuple[str, ...]
    """What the budget has changed, one sentence each."""


class _Use(NamedTuple):
    """Bytes: what is held, what will be, or what may be."""

    main: float
    card: float

    def within(self, limit: "_Use") -> bool:
        return self.main <= limit.main and self.card <= limit.card


class _Choice(NamedTuple):
    tiling: Tiling
    batch: int
    sums: torch.dtype
    place: torch.device


def foresee(
    network: Network,
    prepared: Prepared,
    windows: Windows,
    *,
    channels: int,
    threshold: float | None,
    device: torch.device | str = "cpu",
    memory_gb: float | None = None,
) -> Forecast:
    """What `predict_mask` will do and hold; a DataError where the budget cannot hold one window.

    Where the answer depends on it, one window is predicted to see what that takes.

    Args:
        memory_gb: What the process may hold at its peak, and what it may take of the card. None is
            most of what is free.
    """
    where = torch.empty(0, device=device).device
    job = make_job(prepared, windows, channels=channels, threshold=threshold, device=where)
    give_back(where)
    held = _Use(held_bytes(_CPU), held_bytes(where) + _CONTEXT if where.type == "cuda" else 0)
    if memory_gb is None:
        limit = _free(held, where)
        choice = _choose(job, held, limit, 0) or _smallest(job, held, 0)
        return _forecast(job, choice, _use(job, choice, held, 0), spare=True)
    limit = _Use(memory_gb * GB, memory_gb * GB)
    shape = _shape_of_window(prepared, windows)
    counted = count_window(network, shape) if where.type == "cpu" else None
    window = 0.0
    if counted is not None:
        window = _with_scratch(counted, job)
        choice = _choose(job, held, limit, window)
        if choice is not None and _is_plain(choice, job):
            return _within(job, choice, held, limit, window)
    if counted is None or held.main + window <= _free(held, where).main:
        window = _measured(network, shape, where, job)
    choice = _choose(job, held, limit, window)
    if choice is None:
        raise _refusal(job, held, window, memory_gb)
    return _within(job, choice, held, limit, window)


def _choose(job: Job, held: _Use, limit: _Use, window: float) -> _Choice | None:
    """The choice that costs least among those that fit; None where none does."""
    ways = sorted(_tilings(job), key=lambda t: t.work)
    for most in (_MODERATE, inf):
        for place in dict.fromkeys((job.device, _CPU)):
            for kind in _KINDS:
                for tiling in (t for t in ways if t.work <= most):
                    for batch in _halvings(job.batch):
                        choice = _Choice(tiling, batch, kind, place)
                        if _use(job, choice, held, window).within(limit):
                            return choice
    return None


def _smallest(job: Job, held: _Use, window: float) -> _Choice:
    """The choice that takes least memory."""
    choices = [
        _Choice(tiling, 1, torch.float16, place)
        for tiling in _tilings(job)
        for place in dict.fromkeys((job.device, _CPU))
    ]
    return min(choices, key=lambda c: (max(_use(job, c, held, window)), c.tiling.work))


def _use(job: Job, choice: _Choice, held: _Use, window: float) -> _Use:
    """What the process will hold at its peak.

    Args:
        window: What the network takes for one window, its scores included.
    """
    row = job.channels * choice.tiling.row * choice.sums.itemsize
    # Rows that wait for the next slab are two at most; while they are joined there are two copies.
    kept = 0 if job.matrices[job.axis] is None else 4 * row
    weights = 3 * 4 * prod(job.patch)
    sums = job.depth * row + kept + weights + SCRATCH
    looks = job.crop + 3 * job.scores if job.flips else 0
    network = choice.batch * (job.crop + window + looks)
    main = held.main + job.mask + _FIRST_USE
    if job.device.type == "cpu":
        return _Use(main + sums + network, 0)
    main += choice.batch * job.crop + SCRATCH
    if choice.place == _CPU:
        return _Use(main + sums + job.scores, held.card + network)
    return _Use(main, held.card + network + sums)


def _within(job: Job, choice: _Choice, held: _Use, limit: _Use, window: float) -> Forecast:
    use = _use(job, choice, held, window)
    # The holes between kept blocks have never been seen to reach the size of what is kept.
    return _forecast(job, choice, use, spare=use.main + choice.batch * window <= limit.main)


def _forecast(job: Job, choice: _Choice, use: _Use, *, spare: bool) -> Forecast:
    return Forecast(
        axis=job.axis,
        tiling=choice.tiling,
        batch=choice.batch,
        sums=choice.sums,
        sums_device=choice.place,
        memory_gb=use.main / GB,
        card_gb=use.card / GB if job.device.type == "cuda" else None,
        spare=spare,
        notes=tuple(_notes(job, choice)),
    )


def _notes(job: Job, choice: _Choice) -> Iterator[str]:
    if choice.batch < job.batch:
        yield f"to save memory, {choice.batch} instead of {job.batch} windows go through together"
    if choice.tiling.work > 1:
        number = prod(len(parts) for parts in choice.tiling.stretches)
        more = choice.tiling.work - 1
        yield f"to save memory, the scan is cut into {number} tiles: {more:.0%} more windows"
    if choice.place != job.device:
        yield "to save the card's memory, scores are summed in main memory, which takes longer"
    if choice.sums == torch.float16:
        yield "to save memory, scores are summed in half precision"


def _is_plain(choice: _Choice, job: Job) -> bool:
    """Whether the budget has changed nothing."""
    return not any(_notes(job, choice))


def _tilings(job: Job) -> list[Tiling]:
    return list(tilings(job.lines, job.matrices, axis=job.axis, old=job.old, new=job.new))


def _halvings(number: int) -> Iterator[int]:
    while number > 1:
        yield number
        number //= 2
    yield 1


def _shape_of_window(prepared: Prepared, windows: Windows) -> tuple[int, ...]:
    seen = (p for a, p in enumerate(windows.patch) if a != windows.slice_axis)
    return (1, len(prepared.array), *seen)


def _with_scratch(counted: float, job: Job) -> float:
    """An upper bound for a CPU: its kernels copy input and output, to multiples of 16 channels."""
    return 2 * counted + 4 * 16 * prod(job.patch)


def _measured(network: Network, shape: tuple[int, ...], device: torch.device, job: Job) -> float:
    """What one window really takes; infinite where the card runs out."""
    try:
        found = measure_window(network, shape, device)
    except torch.OutOfMemoryError:
        return inf
    finally:
        give_back(device)
    return 1.05 * max(found, job.scores + job.crop)


def _free(held: _Use, device: torch.device) -> _Use:
    memory = measure_memory()
    main = inf if memory is None else held.main + _SHARE * memory.free * GB
    if device.type == "cpu":
        return _Use(main, 0)
    return _Use(main, held.card + _SHARE * torch.cuda.mem_get_info(device)[0])


def _refusal(job: Job, held: _Use, window: float, memory_gb: float) -> DataError:
    size = "x".join(map(str, job.patch))
    if window == inf:
        return DataError(
            f"the card cannot hold one window of {size} voxels. "
            "Fix: another device, or a plan with a smaller patch."
        )
    least = max(_use(job, _smallest(job, held, window), held, window))
    return DataError(
        f"memory_gb={memory_gb:g} cannot hold one window of {size} voxels and "
        f"{job.channels} channels: that takes {window / GB:.2f} GB, beside "
        f"{max(held) / GB:.2f} GB that are held already. "
        f"Fix: memory_gb={ceil((least + _ROUNDING) / GB * 10) / 10:g} or more."
    )
