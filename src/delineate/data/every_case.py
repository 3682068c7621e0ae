"""The same work for every case, side by side; what goes wrong is told for all of them together."""

import errno
import shutil
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from delineate.cores import usable_cores
from delineate.errors import DataError

__all__ = ["Progress", "for_every_case"]

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps what is counted, given how many there are and what is being done."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_WORKERS = 8


def for_every_case(
    cases: Sequence[str],
    make: Callable[[str], None],
    homes: Mapping[str, Path],
    *,
    workers: int | None,
    progress: Progress | None,
    what: str,
) -> None:
    """Call `make` for each case, in threads.

    All cases are tried before those that failed are raised together, as one DataError with the
    traceback of each as a note; a full disk ends the work at once.

    Args:
        cases: Ids.
        make: Writes the file of one case.
        homes: That file of each case, and of those that are there already.
        workers: Threads; None means one per processor, at most eight.
        progress: Wraps the cases as they are finished.
        what: The work, for the progress: 'prepare'.
    """
    if not cases:
        return
    # Threads: unpacking, arithmetic and packing run outside the interpreter lock.
    pool = ThreadPoolExecutor(workers or min(usable_cores(), _MOST_WORKERS))
    try:
        futures = {pool.submit(make, case): case for case in cases}
        finished: Iterable[Future[None]] = as_completed(futures)
        if progress is not None:
            finished = progress(finished, len(cases), what)
        failures: dict[str, Exception] = {}
        for future in finished:
            error = future.exception()
            if error is None:
                continue
            if not isinstance(error, Exception):
                raise error
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                # The cases under way end first: they count as done, or make room.
                pool.shutdown(cancel_futures=True)
                raise _disk_full(homes) from error
            failures[futures[future]] = error
    finally:
        pool.shutdown(cancel_futures=True)
    if failures:
        raise _summary(dict(sorted(failures.items())), homes)


def _summary(failures: dict[str, Exception], homes: Mapping[str, Path]) -> DataError:
    folder = next(iter(homes.values())).parent.parent
    lines = [f"  {case}: {_said(error)}" for case, error in failures.items()]
    text = "\n".join(
        [
            f"{len(failures)} of {len(homes)} cases could not be prepared:",
            *lines,
            f"The others are kept in {folder}. Fix: mend or leave out these cases and run again; "
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


def _disk_full(homes: Mapping[str, Path]) -> DataError:
    folder = next(iter(homes.values())).parent
    sizes = [home.stat().st_size for home in homes.values() if home.is_file()]
    free = shutil.disk_usage(folder).free
    left = len(homes) - len(sizes)
    need = "more than that for the first alone"
    if sizes:
        more = sum(sizes) / len(sizes) * left / 1e9
        need = f"about {more:.2g} GB more, by the {len(sizes)} already done"
    return DataError(
        f"{folder}: the disk is full ({free / 1e9:.2g} GB free); {left} cases need {need}. "
        "Fix: free space, or choose another folder for the cache; what is done is kept."
    )
