"""The doctor: everything that would spoil a training, found before anything trains.

Every kind of finding is listed with its meaning in `delineate.datasets.findings.KINDS`.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from delineate.cores import usable_cores
from delineate.datasets.case import Dataset
from delineate.datasets.checkup import Checked, check_case
from delineate.datasets.cohort import (
    find_leaks,
    find_lone_halves,
    find_odd_grids,
    find_repeated_ids,
)
from delineate.datasets.copies import find_copied_labels, find_copies
from delineate.datasets.findings import Examination, Finding
from delineate.datasets.listing import natural
from delineate.datasets.odd_labels import find_mirrored, find_odd_labels, find_odd_volumes

__all__ = ["examine"]

Progress = Callable[[Iterable[Checked], int, str], Iterable[Checked]]


def examine(
    dataset: Dataset, *, workers: int | None = None, progress: Progress | None = None
) -> Examination:
    """Read every file of a data set once and report all that is wrong; nothing is changed.

    Args:
        workers: Threads; None takes as many as there are processors for this process.
        progress: Wraps the cases as they are done: (iterable, total, description) -> iterable.
    """
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        results: Iterable[Checked] = pool.map(partial(check_case, dataset=dataset), dataset.cases)
        if progress is not None:
            results = progress(results, len(dataset.cases), "examining")
        checked = list(results)
    findings = [finding for one in checked for finding in one.findings]
    duplicates = find_copies(checked)
    findings += duplicates
    findings += find_copied_labels(checked, duplicates)
    findings += find_leaks(dataset, duplicates)
    findings += find_lone_halves(dataset)
    findings += find_repeated_ids(dataset)
    findings += find_odd_grids(dataset, checked)
    findings += find_odd_labels(dataset, checked)
    findings += find_odd_volumes(checked)
    findings += find_mirrored(checked)
    return Examination(
        root=str(dataset.root),
        layout=dataset.layout,
        cases=tuple(one.facts for one in checked),
        findings=tuple(sorted(findings, key=_order)),
    )


def _order(finding: Finding) -> tuple[object, ...]:
    """Errors first; what concerns the whole data set before its cases."""
    return (
        finding.severity != "error",
        finding.case is not None,
        natural(finding.case or ""),
        finding.kind,
        finding.message,
    )
