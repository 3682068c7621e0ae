"""Prepared cases, read in part or whole; what fits a budget stays in memory."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from delineate.data.boxes import cut
from delineate.data.foreground import by_channel
from delineate.data.key import case_key, plan_key
from delineate.data.store import Facts, open_case
from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.labels import IGNORE
from delineate.plan import Plan

__all__ = ["Cache", "find_homes", "open_cache"]


def open_cache(
    dataset: Dataset | Sequence[Case], plan: Plan, root: Path, *, ram_gb: float = 2.0
) -> "Cache":
    """What `prepare` has made of these files with this plan; a missing case is a DataError."""
    cases = dataset.cases if isinstance(dataset, Dataset) else tuple(dataset)
    homes = find_homes(cases, plan, root)
    missing = [case.id for case in cases if not homes[case.id].is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(cases)} cases are not prepared for this plan and "
            f"these files, {missing[0]} first. Fix: delineate prepare."
        )
    return Cache(root / plan_key(plan), cases, homes, ram_gb=ram_gb)


def find_homes(cases: Sequence[Case], plan: Plan, root: Path) -> dict[str, Path]:
    """The file of each case: it depends on the plan, on this code and on the case's files."""
    folder = root / plan_key(plan)
    return {case.id: folder / f"{case.id}-{case_key(case)}.case" for case in cases}


class Cache:
    """Prepared cases by id.

    An array that is asked for stays in memory until the budget is full; from then on only the
    chunks needed are read, each time. Nothing is thrown out: as every epoch visits each case once,
    the case that was used longest ago is the one that comes next. Safe to use from several threads;
    a pickled copy starts with empty memory.
    """

    def __init__(
        self, folder: Path, cases: Sequence[Case], homes: Mapping[str, Path], *, ram_gb: float
    ) -> None:
        self.folder = folder
        self.cases = tuple(cases)
        self._stored = {case.id: open_case(homes[case.id]) for case in cases}
        self._budget = int(ram_gb * 1e9)
        self._forget()

    def shape(self, case: str) -> tuple[int, ...]:
        """Spatial shape on the plan's grid."""
        return self._of(case).shape

    def labelled(self, case: str) -> bool:
        """Whether the case has a mask."""
        return self._of(case).labelled

    def counts(self, case: str) -> Mapping[int, int]:
        """Voxels of each channel that is present, background left out."""
        return self._of(case).counts

    def foreground(self, case: str) -> dict[int, np.ndarray]:
        """At most 10,000 places (n, d) of each channel that is present, background left out."""
        facts = self._of(case)
        if not facts.counts:
            return {}
        return by_channel(self._source(case, "foreground")[...,], dict(facts.sampled))

    def read_image(
        self, case: str, start: tuple[int, ...] | None = None, stop: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """The box start..stop (c, *s) as float32, the whole without one; zeros over the border.

        Zero is the mean of a normalised image, and what sliding windows and convolutions pad with.
        """
        box = self._box(case, start, stop)
        return cut(self._source(case, "image"), *box).astype(np.float32)

    def read_mask(
        self, case: str, start: tuple[int, ...] | None = None, stop: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """Channel indices (*s) or layers (k, *s) of the box; background over the border.

        A case without a mask is -1 (ignored) throughout.
        """
        begin, end = self._box(case, start, stop)
        if not self.labelled(case):
            return np.full([b - a for a, b in zip(begin, end, strict=True)], IGNORE, np.int8)
        return np.array(cut(self._source(case, "mask"), begin, end))

    def with_ram(self, ram_gb: float) -> "Cache":
        """The same cases with another budget of memory, empty."""
        other = copy(self)
        other._budget = other._room = int(ram_gb * 1e9)
        return other

    @property
    def ram_gb(self) -> float:
        """The budget of memory."""
        return self._budget / 1e9

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_kept", "_room", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._kept: dict[tuple[str, str], np.ndarray] = {}
        self._room = self._budget
        self._lock = Lock()

    def _of(self, case: str) -> Facts:
        if case not in self._stored:
            raise DataError(f"{case}: no such case in {self.folder}.")
        return self._stored[case].facts

    def _box(
        self, case: str, start: tuple[int, ...] | None, stop: tuple[int, ...] | None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape = self.shape(case)
        return start or (0,) * len(shape), stop or shape

    def _source(self, case: str, name: str) -> Any:
        """The array in memory where there is room for it, else the one on disk."""
        key = case, name
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        stored = self._stored[case].arrays[name]
        size = stored.nbytes
        with self._lock:
            if size > self._room:
                return stored
            self._room -= size
        whole = stored[...,]
        with self._lock:
            if key in self._kept:
                self._room += size
            return self._kept.setdefault(key, whole)
