"""Every case once, in parallel: read, preprocess, find its foreground, store."""

import errno
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.data.cache import Cache, find_homes, open_cache
from delineate.data.foreground import find_foreground
from delineate.data.key import plan_facts, plan_key
from delineate.data.preprocess import preprocess, preprocess_mask
from delineate.data.store import Facts, compact, write_case
from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.io import Volume, read_mask, read_volume
from delineate.plan import Plan

__all__ = ["prepare", "read_case"]

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_WORKERS = 8


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
    missing = [case for case in cases if not homes[case.id].is_file()]
    if missing:
        _write_facts(plan, root)
        failures = _make_all(missing, plan, homes, workers=workers, progress=progress)
        if failures:
            raise _summary(failures, len(cases), root)
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
    write_case(home, arrays, facts)


def _make_all(
    cases: Sequence[Case],
    plan: Plan,
    homes: dict[str, Path],
    *,
    workers: int | None,
    progress: Progress | None,
) -> dict[str, Exception]:
    """Make every case and return what went wrong by case; a full disk ends the work at once."""
    # Threads: unpacking, arithmetic and packing run outside the interpreter lock.
    pool = ThreadPoolExecutor(workers or min(_processors(), _MOST_WORKERS))
    try:
        futures = {pool.submit(_make, case, plan, homes[case.id]): case.id for case in cases}
        finished: Iterable[Future[None]] = as_completed(futures)
        if progress is not None:
            finished = progress(finished, len(cases), "prepare")
        failures: dict[str, Exception] = {}
        for future in finished:
            error = future.exception()
            if error is None:
                continue
            if not isinstance(error, Exception):
                raise error
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                pool.shutdown(cancel_futures=True)
                raise _disk_full(cases, homes) from error
            failures[futures[future]] = error
        return dict(sorted(failures.items()))
    finally:
        pool.shutdown(cancel_futures=True)


def _summary(failures: dict[str, Exception], total: int, root: Path) -> DataError:
    lines = [f"  {case}: {_said(error)}" for case, error in failures.items()]
    text = "\n".join(
        [
            f"{len(failures)} of {total} cases could not be prepared:",
            *lines,
            f"The others are kept in {root}. Fix: mend or leave out these cases and run again; "
            "delineate doctor explains what is wrong with files.",
        ]
    )
    summary = DataError(text)
    for case, error in failures.items():
        summary.add_note(f"{case}:\n" + "".join(traceback.format_exception(error)))
    summary.__cause__ = next(iter(failures.values()))
    return summary


def _said(error: Exception) -> str:
    """The message of an error that a user can mend; for any other also its kind and place."""
    if isinstance(error, DataError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"


def _disk_full(cases: Sequence[Case], homes: dict[str, Path]) -> DataError:
    folder = homes[cases[0].id].parent
    done = [homes[case.id] for case in cases if homes[case.id].is_file()]
    sizes = [home.stat().st_size for home in done]
    free = shutil.disk_usage(folder).free
    left = len(cases) - len(done)
    need = (
        f"about {sum(sizes) / len(done) * left / 1e9:.2g} GB more, by the {len(done)} already done"
        if done
        else "more than that for the first alone"
    )
    return DataError(
        f"{folder}: the disk is full ({free / 1e9:.2g} GB free); {left} cases need {need}. "
        "Fix: free space, or choose another folder for the cache; what is done is kept."
    )


def _write_facts(plan: Plan, root: Path) -> None:
    """Say beside the cases what they were made with; the folder's name is the hash of it."""
    folder = root / plan_key(plan)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plan_facts(plan), indent=2)
    (folder / "preparation.json").write_text(text, encoding="utf-8")


def _processors() -> int:
    """How many processors this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
