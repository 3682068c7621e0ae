"""Batches of patches for training: each sample is a pure function of (seed, step, slot).

Cases are taken in a seeded order, each once per epoch. Neither the number of workers nor a restart
changes a sample, because nothing is carried from one to the next.
"""

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader

from delineate.contracts import Batch, Target
from delineate.data.cache import Cache
from delineate.data.patches import draw_patch
from delineate.errors import DataError
from delineate.plan import Plan

__all__ = ["Batches"]

# The two streams of chance, told apart by the second word of the generator's key.
_ORDER: Final = 0
_PATCH: Final = 1


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable of `Batch`; each pass begins at `start_step`."""

    cache: Cache
    ids: Sequence[str]
    """The cases to draw from; their order matters."""
    plan: Plan
    """Gives patch, spacing and labels."""
    _: KW_ONLY
    seed: int
    batch_size: int
    read_patch: tuple[int, ...]
    """Voxels that are read, at least the plan's patch, which lies in the middle: the margin gives
    rotations tissue to turn in."""
    foreground: float
    """Share of patches that are placed around a structure."""
    workers: int = 0
    """Processes that read ahead, sharing the cache's budget of memory; 0 reads in this one."""
    start_step: int = 0
    """The optimiser step of the first batch."""
    steps: int | None = None
    """How many batches a pass has; None means no end."""

    def __post_init__(self) -> None:
        _check(self.cache, self.ids, self.plan, self.read_patch)

    def __len__(self) -> int:
        if self.steps is None:
            raise TypeError("these batches have no end")
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        start, axis = self.start_step, self.plan.slice_axis
        spacing = tuple(v for i, v in enumerate(self.plan.spacing) if i != axis)
        loader = DataLoader(
            _Samples(self),  # type: ignore[arg-type] # all that is asked of it is __getitem__
            # One index is one batch, which its worker puts together.
            batch_size=None,
            sampler=count(start) if self.steps is None else range(start, start + self.steps),
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
        )
        for found in loader:
            if "error" in found:
                raise found["error"]
            yield Batch(
                image=found["image"],
                target=Target(mask=found.get("mask"), presence=found.get("presence")),
                spacing=spacing,
                cases=tuple(found["cases"]),
                step=found["step"],
            )


class _Samples:
    """Item `step` is that batch as plain tensors by name, or the error that it met."""

    def __init__(self, order: Batches) -> None:
        self._order = order
        share = max(1, order.workers)
        self._cache = (
            order.cache if share == 1 else order.cache.with_ram(order.cache.ram_gb / share)
        )
        self._presence = {case.id: case.presence for case in order.cache.cases}
        self._labelled = any(order.cache.labelled(case) for case in order.ids)

    def __getitem__(self, step: int) -> dict[str, Any]:
        size = self._order.batch_size
        cases = [self._case(step * size + slot) for slot in range(size)]
        samples = []
        for slot, case in enumerate(cases):
            try:
                samples.append(self._sample(step, slot, case))
            except Exception as error:
                return {"error": _named(error, case, step)}
        found: dict[str, Any] = {
            "image": torch.from_numpy(np.stack([image for image, _ in samples])),
            "cases": tuple(cases),
            "step": step,
        }
        if self._labelled:
            masks = np.stack([mask for _, mask in samples])
            kind = np.float32 if self._order.plan.labels.overlapping else np.int64
            found["mask"] = torch.from_numpy(masks.astype(kind))
        presence = [self._presence[case] for case in cases]
        if None not in presence:
            found["presence"] = torch.tensor(presence, dtype=torch.float32)
        return found

    def _case(self, index: int) -> str:
        ids = self._order.ids
        epoch, place = divmod(index, len(ids))
        return ids[int(_shuffled(self._order.seed, epoch, len(ids))[place])]

    def _sample(self, step: int, slot: int, case: str) -> tuple[np.ndarray, np.ndarray]:
        order, cache = self._order, self._cache
        patch, read = order.plan.patch, order.read_patch
        rng = _generator(order.seed, _PATCH, step, slot)
        start = draw_patch(
            rng, cache.shape(case), patch, cache.foreground(case), share=order.foreground
        )
        begin = tuple(a - (r - p) // 2 for a, r, p in zip(start, read, patch, strict=True))
        end = tuple(a + r for a, r in zip(begin, read, strict=True))
        image, mask = cache.read_image(case, begin, end), cache.read_mask(case, begin, end)
        if order.plan.slice_axis is not None:
            axis = order.plan.slice_axis - len(read)
            image, mask = image.squeeze(axis), mask.squeeze(axis)
        return image, mask


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, cases: int) -> np.ndarray:
    return _generator(seed, _ORDER, epoch, 0).permutation(cases)


def _generator(seed: int, stream: int, step: int, slot: int) -> np.random.Generator:
    # Philox counts up in the lower words of the counter: the upper ones keep streams apart.
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, step, slot]))


def _named(error: Exception, case: str, step: int) -> DataError:
    """The same trouble with the case's name, fit to be sent from a worker."""
    said = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
    named = DataError(f"{case}: {said} (while reading a patch for step {step})")
    named.add_note("".join(traceback.format_exception(error)))
    return named


def _check(cache: Cache, ids: Sequence[str], plan: Plan, read_patch: tuple[int, ...]) -> None:
    if not ids:
        raise DataError("there are no cases to draw batches from.")
    if any(r < p for r, p in zip(read_patch, plan.patch, strict=True)):
        raise ValueError(f"read_patch {read_patch} is smaller than the plan's patch {plan.patch}")
    axis = plan.slice_axis
    if axis is not None and read_patch[axis] != 1:
        raise ValueError(f"read_patch {read_patch} must be 1 on the slice axis {axis}")
    without = [case for case in ids if not cache.labelled(case)]
    if plan.labels.overlapping and 0 < len(without) < len(ids):
        raise DataError(
            f"{without[0]} has no mask but others have. Overlapping masks know no 'ignored': "
            "Fix: leave out the cases without a mask."
        )
