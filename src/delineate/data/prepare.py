"""Every case once, in parallel: read, preprocess, find its foreground, store."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate.data.cache import Cache, find_homes, open_cache
from delineate.data.every_case import Progress, for_every_case
from delineate.data.foreground import find_foreground
from delineate.data.key import plan_facts
from delineate.data.preprocess import preprocess, preprocess_mask
from delineate.data.store import Facts, compact, write_case
from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.io import Volume, atomic_path, read_mask, read_volume
from delineate.plan import Plan

__all__ = ["prepare", "read_case"]


def prepare(
    dataset: Dataset | Sequence[Case],
    plan: Plan,
    root: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Make what is missing of the cases' arrays under `root`, and open them all.

    A case is there completely or not at all, so an interrupted run goes on where it stopped, and
    several runs may share a root. All cases are tried before those that failed are raised together,
    as one DataError with the traceback of each as a note.

    Args:
        dataset: All cases or some of them.
        plan: Decides the grid and the intensities.
        root: Holds one folder per preparation; safe to delete.
        workers: Threads; None means one per processor, at most eight.
        progress: Wraps the cases as they are finished.
    """
    cases = dataset.cases if isinstance(dataset, Dataset) else tuple(dataset)
    homes = find_homes(cases, plan, root)
    missing = {case.id: case for case in cases if not homes[case.id].is_file()}

    def make(case: str) -> None:
        _write_facts(plan, homes[case].parent)
        _make(missing[case], plan, homes[case])

    for_every_case(list(missing), make, homes, workers=workers, progress=progress, what="prepare")
    return open_cache(cases, plan, root)


def read_case(case: Case) -> Volume:
    """All channels of a case as one volume; files of different shape are a DataError."""
    volumes = [read_volume(path) for path in case.images]
    first = volumes[0]
    if len(volumes) == 1:
        return first
    for path, volume in zip(case.images, volumes, strict=True):
        if volume.shape != first.shape:
            raise DataError(
                f"{path} has the shape {volume.shape} but {case.images[0]} has {first.shape}. "
                "All channels of a case must share one grid."
            )
    return replace(first, array=np.concatenate([v.array for v in volumes]))


def _make(case: Case, plan: Plan, home: Path) -> None:
    prepared = preprocess(read_case(case), plan)
    normalised = all(rule.kind != "none" for rule in plan.normalisation)
    arrays = {"image": compact(prepared.array, normalised=normalised)}
    counts, sampled = {}, {}
    if case.label is not None:
        mask = preprocess_mask(read_mask(case.label), plan.labels, prepared)
        arrays["mask"] = mask
        table, counts, sampled = find_foreground(
            mask, overlapping=plan.labels.overlapping, case=case.id
        )
        if counts:
            arrays["foreground"] = table
    facts = Facts(
        shape=prepared.shape, labelled=case.label is not None, counts=counts, sampled=sampled
    )
    write_case(home, arrays.items(), facts)


def _write_facts(plan: Plan, folder: Path) -> None:
    """Say beside the cases what they were made with; the folder's name is the hash of it."""
    home = folder / "preparation.json"
    if not home.is_file():
        with atomic_path(home) as part:
            part.write_text(json.dumps(plan_facts(plan), indent=2), encoding="utf-8")
