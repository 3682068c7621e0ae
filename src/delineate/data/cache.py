"""Prepared cases, read in part or whole; what fits a budget stays in memory."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.data.foreground import rows_of
from delineate.data.kept import Kept, default_ram_gb
from delineate.data.key import case_key, plan_key
from delineate.data.store import Facts, StoredArray, open_case
from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.geometry import cut, fill_continued
from delineate.labels import IGNORE
from delineate.plan import Plan

__all__ = ["Cache", "find_homes", "open_cache"]

Place = tuple[int, ...]


def open_cache(
    dataset: Dataset | Sequence[Case], plan: Plan, root: Path, *, ram_gb: float | None = None
) -> "Cache":
    """What `prepare` has made of these files with this plan; a missing case is a DataError.

    Args:
        dataset: All cases or some of them.
        plan: What they were prepared with.
        root: The folder of all preparations.
        ram_gb: How much may stay in memory; None means an eighth of the free main memory.
    """
    cases = dataset.cases if isinstance(dataset, Dataset) else tuple(dataset)
    homes = find_homes(cases, plan, root)
    missing = [case.id for case in cases if not homes[case.id].is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(cases)} cases are not prepared for this plan and "
            f"these files, {missing[0]} first. Fix: delineate prepare."
        )
    ram_gb = default_ram_gb() if ram_gb is None else ram_gb
    return Cache(root / plan_key(plan), cases, homes, ram_gb=ram_gb)


def find_homes(cases: Sequence[Case], plan: Plan, root: Path) -> dict[str, Path]:
    """The file of each case: it depends on the plan, on this code and on the case's files."""
    folder = root / plan_key(plan)
    return {case.id: folder / f"{case.id}-{case_key(case)}.case" for case in cases}


class Cache:
    """Prepared cases by id.

    An array that is asked for stays in memory until the budget is full; from then on only the
    chunks needed are read, each time. Safe to use from several threads; a pickled copy starts with
    empty memory.
    """

    def __init__(
        self, folder: Path, cases: Sequence[Case], homes: Mapping[str, Path], *, ram_gb: float
    ) -> None:
        self.folder = folder
        self.cases = tuple(cases)
        self._stored = {case.id: open_case(homes[case.id]) for case in cases}
        self._kept = Kept(ram_gb)

    def shape(self, case: str) -> tuple[int, ...]:
        """Spatial shape on the plan's grid."""
        return self.facts(case).shape

    def labelled(self, case: str) -> bool:
        """Whether the case has a mask."""
        return self.facts(case).labelled

    def facts(self, case: str) -> Facts:
        """What is known of the case without its arrays."""
        if case not in self._stored:
            raise DataError(f"{case}: no such case in {self.folder}.")
        return self._stored[case].facts

    def arrays(self, case: str) -> Mapping[str, StoredArray]:
        """The case's arrays on disk."""
        return self._stored[case].arrays

    def places(self, case: str, channel: int) -> np.ndarray:
        """Places (n, d) of a channel that is present: one drawn evenly is fair to small pieces."""
        start, stop = rows_of(self.facts(case).sampled, channel)
        table = self._source(case, "foreground")
        return table[..., start:stop, 1 : table.shape[1]]

    def read_image(
        self,
        case: str,
        start: Place | None = None,
        stop: Place | None = None,
        *,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The box start..stop (c, *s) as float32, the whole without one; zeros over the border.

        Zero is the mean of a normalised image, and what sliding windows and convolutions pad with.
        Where `out` is given, it is filled and returned; it may be of any type.
        """
        begin, end, size = self._box(case, start, stop)
        source = self._source(case, "image")
        if out is None:
            out = np.empty((source.shape[0], *size), np.float32)
        cut(source, begin, end, out=out)
        return out

    def read_mask(
        self,
        case: str,
        start: Place | None = None,
        stop: Place | None = None,
        *,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Channel indices (*s) or layers (k, *s) of the box; background over the border.

        A case without a mask is -1 (ignored) throughout. Where `out` is given, it is filled and
        returned; it may be of any type.
        """
        begin, end, size = self._box(case, start, stop)
        if not self.labelled(case):
            out = np.empty(size, np.int8) if out is None else out
            out[...] = IGNORE
            return out
        source = self._source(case, "mask")
        if out is None:
            out = np.empty((*source.shape[: -len(size)], *size), source.dtype)
        cut(source, begin, end, out=out)
        return out

    def read_distance(self, case: str, start: Place, *, out: np.ndarray) -> None:
        """Fill `out` (k, *s) with signed distances in mm from `start` on, as `make_distances` says.

        A class without a surface in the case, and every class of a case without a mask, is zero.
        """
        out[...] = 0
        if not self.labelled(case):
            return
        arrays = self.arrays(case)
        spacing = tuple(self._source(case, "spacing")[...,].tolist())
        exclusive = len(arrays["mask"].shape) == len(spacing)
        for channel, one in enumerate(out):
            if (name := f"distance_{channel}") in arrays:
                stored, beyond = self._source(case, name), exclusive and channel == 0
                fill_continued(one, stored, start, spacing=spacing, filled_beyond=beyond)

    def forecast(self) -> str:
        """One line on how much memory the cases take unpacked, and how much of it may stay."""
        total = sum(a.nbytes for case in self._stored.values() for a in case.arrays.values()) / 1e9
        share = min(1.0, self.ram_gb / total) if total else 1.0
        stays = (
            "all of it stays in memory"
            if share == 1
            else f"{share:.0%} of it stays in memory, the rest is read for each patch"
        )
        return (
            f"{len(self.cases)} cases take {total:.2g} GB unpacked; {stays} "
            f"(budget {self.ram_gb:.2g} GB)"
        )

    def with_ram(self, ram_gb: float) -> "Cache":
        """The same cases with another budget of memory, empty."""
        other = copy(self)
        other._kept = Kept(ram_gb)
        return other

    def with_arrays(self, more: Mapping[str, Mapping[str, StoredArray]]) -> "Cache":
        """The same cases, some with further arrays on disk; the memory is shared."""
        other = copy(self)
        other._stored = dict(self._stored)
        for case, arrays in more.items():
            known = self._stored[case]
            other._stored[case] = replace(known, arrays={**known.arrays, **arrays})
        return other

    @property
    def ram_gb(self) -> float:
        """The budget of memory."""
        return self._kept.ram_gb

    def _source(self, case: str, name: str) -> Any:
        """The array in memory where there is room for it, else the one on disk."""
        self.facts(case)
        return self._kept.get((case, name), self._stored[case].arrays[name])

    def _box(
        self, case: str, start: Place | None, stop: Place | None
    ) -> tuple[Place, Place, tuple[int, ...]]:
        shape = self.shape(case)
        begin, end = start or (0,) * len(shape), stop or shape
        return begin, end, tuple(b - a for a, b in zip(begin, end, strict=True))
