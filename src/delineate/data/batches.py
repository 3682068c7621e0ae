"""Batches of patches for training: each sample is a pure function of the seed and its number.

Neither the number of reading processes, nor the death of one, nor a restart changes a sample,
because nothing is carried from one to the next.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delineate.contracts import Batch, Target
from delineate.data.cache import Cache
from delineate.data.reader import Done
from delineate.data.readers import Readers, read_ahead
from delineate.data.samples import Samples
from delineate.data.sampling import Sampling
from delineate.errors import DataError
from delineate.plan import Plan

__all__ = ["Batches"]

Tensors = dict[str, Tensor]


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
    """Share of patches that are placed around a structure; a case without one gives its turn to
    another."""
    rare: float = 0.0
    """Share of samples that begin with a class, each as often, and then choose a case that has it;
    the others take the cases in turn, each once per epoch."""
    distance: bool = False
    """Whether targets have signed distances, which `make_distances` must have made."""
    workers: int = 0
    """Processes that read ahead, sharing the cache's budget of memory; 0 reads in this one."""
    start_step: int = 0
    """The optimiser step of the first batch."""
    steps: int | None = None
    """How many batches a pass has; None means no end."""

    def __post_init__(self) -> None:
        _check_shares(foreground=self.foreground, rare=self.rare)
        _check(self.cache, self.ids, self.plan, self.read_patch)
        if self.distance:
            _check_distances(self.cache, self.ids)
        if self.workers and os.name != "posix":
            raise DataError(
                f"{self.workers} reading processes were asked for, but this system cannot share "
                "memory with them. Fix: train.workers=0."
            )
        self._samples(self.cache)

    def __len__(self) -> int:
        if self.steps is None:
            raise TypeError("these batches have no end")
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        here = self._samples(self.cache)
        presence = {case.id: case.presence for case in self.cache.cases}

        def alone(step: int) -> tuple[Done, Tensors]:
            tensors, arrays = _empty(here)
            return Done(step=step, slot=0, cases=here.fill(step, arrays)), tensors

        end = None if self.steps is None else self.start_step + self.steps
        steps = iter(count(self.start_step) if end is None else range(self.start_step, end))
        if self.workers:
            share = self.cache.with_ram(self.cache.ram_gb / self.workers)
            readers = Readers(self._samples(share), self.workers, partial(_empty, here))
            found = read_ahead(readers, steps, alone=alone)
        else:
            found = (alone(step) for step in steps)
        try:
            with closing(found):
                for done, tensors in found:
                    if done.error is not None:
                        raise done.error
                    yield self._batch(done, tensors, [presence[case] for case in done.cases])
        except MemoryError as error:
            raise DataError(
                f"{error}. Fix: close other programs, or take a smaller patch or batch."
            ) from error

    def _samples(self, cache: Cache) -> Samples:
        sampling = Sampling(
            cache,
            self.ids,
            patch=self.plan.patch,
            seed=self.seed,
            foreground=self.foreground,
            rare=self.rare,
        )
        return Samples(
            cache,
            sampling,
            plan=self.plan,
            read_patch=self.read_patch,
            batch_size=self.batch_size,
            masks=any(cache.labelled(case) for case in self.ids),
            distance=self.distance,
        )

    def _batch(self, done: Done, tensors: Tensors, presence: list[Any]) -> Batch:
        return Batch(
            image=tensors["image"],
            target=Target(
                mask=tensors.get("mask"),
                presence=None if None in presence else torch.tensor(presence, dtype=torch.float32),
                distance=tensors.get("distance"),
            ),
            spacing=tuple(self.plan.spacing[axis] for axis in self.plan.seen_axes),
            cases=done.cases,
            step=done.step,
            place=tensors["place"],
        )


def _empty(samples: Samples) -> tuple[Tensors, Mapping[str, np.ndarray]]:
    """Tensors for one batch, where a card can fetch them by itself, and the same as arrays."""
    pinned = torch.cuda.is_available()
    tensors = {
        name: torch.empty(shape, dtype=getattr(torch, kind), pin_memory=pinned)
        for name, (shape, kind) in samples.shapes.items()
    }
    return tensors, {name: tensor.numpy() for name, tensor in tensors.items()}


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share, from 0 to 1, not {share}")


def _check_distances(cache: Cache, ids: Sequence[str]) -> None:
    without = [c for c in ids if cache.labelled(c) and "spacing" not in cache.arrays(c)]
    if without:
        raise DataError(
            f"{without[0]}: its signed distances are not made. "
            "Fix: batches of the cache that make_distances returns."
        )


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
