"""Compare a folder of predicted probabilities with the true masks: are they calibrated?"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from delineate.errors import DataError
from delineate.io import read_mask, read_volume
from delineate.labels import Labels
from delineate.metrics.calibration import measure_calibration
from delineate.metrics.folders import Pair, Progress, compare_grids, pair_files, processors
from delineate.metrics.score import encode
from delineate.metrics.table import Row, Table

__all__ = ["evaluate_probabilities"]


def evaluate_probabilities(
    probabilities: Path,
    truth: Path | Mapping[str, str | Path],
    labels: Labels,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Table:
    """Calibration of every case of the truth: the columns `ece` and `brier`.

    Args:
        probabilities: A file per case with a channel for each output of the network: background
            first, unless masks overlap.
        truth: A folder of masks, or the mask of each case by id.
        workers: Threads; None takes one per processor, at most 8.
    """
    pairs = pair_files(probabilities, truth)
    with ThreadPoolExecutor(workers or processors()) as pool:
        found = pool.map(partial(_score, labels=labels), pairs)
        rows = progress(found, len(pairs), "evaluating") if progress else found
        return Table(tuple(row for case in rows for row in case))


def _score(pair: Pair, *, labels: Labels) -> tuple[Row, ...]:
    case, given, true = pair
    probabilities, mask = read_volume(given), read_mask(true)
    if probabilities.shape != mask.shape:
        raise DataError(
            f"{case}: the probabilities are {probabilities.shape} but the truth is {mask.shape} "
            "(canonical axes).\n  Fix: write probabilities on the grid of the scan."
        )
    compare_grids(case, probabilities, mask)
    try:
        truth = encode(mask.array, labels, len(mask.shape))
        found = measure_calibration(probabilities.array, truth, labels)
    except DataError as error:
        raise DataError(f"{case}: {error}") from None
    return tuple(
        Row(case=case, label=name, values={"ece": c.ece, "brier": c.brier})
        for name, c in found.items()
    )
