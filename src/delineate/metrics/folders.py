"""Compare a folder of predicted masks with the true ones, case by case."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from delineate.cores import usable_cores
from delineate.errors import DataError
from delineate.io import is_image, read_mask, stem
from delineate.io.volume import Volume
from delineate.labels import Class, Labels
from delineate.metrics.measures import Measures
from delineate.metrics.score import score_masks
from delineate.metrics.table import Row, Table

__all__ = ["Pair", "Progress", "compare_grids", "evaluate_folders", "pair_files", "processors"]

Pair = tuple[str, str | Path, str | Path]
"""A case, its predicted mask and its true one."""
Progress = Callable[..., Iterable]

GRID_TOLERANCE = 0.1
"""Corners of the two grids may lie this share of a voxel apart: headers round."""


def evaluate_folders(
    prediction: Path,
    truth: Path | Mapping[str, str | Path],
    *,
    labels: Labels | None = None,
    measures: Measures | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Table:
    """Score every case of the truth; files are paired by their names without suffix.

    Every true mask needs a prediction; predictions without a truth are left out.

    Args:
        truth: A folder of masks, or the mask of each case by id.
        labels: None takes every id that occurs in any mask as a class, named by its number.
        measures: Which figures; None takes overlap, volumes and surface distances.
        workers: Threads; None takes one per processor, at most 8.
    """
    pairs = pair_files(prediction, truth)
    with ThreadPoolExecutor(workers or processors()) as pool:

        def run(work: Callable, description: str) -> list:
            found = pool.map(work, pairs)
            return list(progress(found, len(pairs), description) if progress else found)

        if labels is None:
            labels = _labels_of(run(_find_ids, "finding labels"))
        score = partial(_score, labels=labels, measures=measures or Measures())
        return Table(tuple(row for rows in run(score, "evaluating") for row in rows))


def processors() -> int:
    """How many cases are measured at a time: each holds its two masks and a copy of one."""
    return min(8, usable_cores())


def pair_files(prediction: Path, truth: Path | Mapping[str, str | Path]) -> list[Pair]:
    """Every true mask and the file of the same case, in order of the cases."""
    wanted = truth if isinstance(truth, Mapping) else _masks(truth, "true")
    found = _masks(prediction, "predicted")
    missing = sorted(set(wanted) - set(found))
    if missing:
        shown = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
        raise DataError(
            f"{prediction}: {len(missing)} of {len(wanted)} cases have no prediction: {shown}.\n"
            "  Files are paired by name. Fix: predict them, or remove their masks from the truth."
        )
    return [(case, found[case], wanted[case]) for case in sorted(wanted)]


def _masks(folder: Path, kind: str) -> dict[str, Path]:
    """The masks of a folder by the id of their case."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of {kind} masks.")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if is_image(p)):
        case = stem(path)
        if case in found:
            raise DataError(f"{folder}: {found[case].name} and {path.name} are the same case.")
        found[case] = path
    if not found:
        raise DataError(f"{folder}: no {kind} masks here.")
    return found


def _score(pair: Pair, *, labels: Labels, measures: Measures) -> tuple[Row, ...]:
    case, predicted, true = pair
    prediction, truth = read_mask(predicted), read_mask(true)
    if prediction.array.shape != truth.array.shape:
        one, other = (_shape(v.array.shape) for v in (prediction, truth))
        raise DataError(
            f"{case}: the prediction is {one} but the truth is {other} (canonical axes).\n"
            "  Fix: write predictions on the grid of the scan; delineate predict does."
        )
    compare_grids(case, prediction, truth)
    masks = prediction.array, truth.array
    spacing = truth.spacing
    try:
        return score_masks(*masks, labels, spacing, case=case, measures=measures)
    except DataError as error:
        raise DataError(f"{case}: {error}") from None


def compare_grids(case: str, prediction: Volume, truth: Volume) -> None:
    """Refuse two volumes of one shape whose voxels lie in other places."""
    shift = _largest_shift(prediction, truth)
    if shift > GRID_TOLERANCE * min(truth.spacing):
        raise DataError(
            f"{case}: the grids of prediction and truth lie up to {shift:.3g} mm apart.\n"
            "  Fix: copy the scan's own affine to both; delineate doctor finds such cases."
        )


def _largest_shift(prediction: Volume, truth: Volume) -> float:
    """How far apart (mm) the corners of two grids of one shape lie."""
    ends = [(0, size - 1) for size in truth.shape] + [(0,)] * (3 - len(truth.shape))
    corners = np.stack([axis.ravel() for axis in np.meshgrid(*ends, [1])])
    moved = (prediction.affine - truth.affine) @ corners
    return float(np.linalg.norm(moved[:3], axis=0).max())


def _find_ids(pair: Pair) -> tuple[int, set[int]]:
    """How many masks the files of a case hold, and which ids."""
    ids: set[int] = set()
    masks = 1
    for path in pair[1:]:
        array = read_mask(path).array
        masks = max(masks, len(array))
        ids.update(np.unique(array).tolist())
    return masks, ids


def _labels_of(found: list[tuple[int, set[int]]]) -> Labels:
    masks = max(number for number, _ in found)
    if masks > 1:
        classes = tuple(Class(name=str(i), id=i) for i in range(1, masks + 1))
        return Labels(classes=classes, overlapping=True)
    ids = sorted({i for _, case in found for i in case} - {0})
    if not ids:
        raise DataError("every mask is empty, in the predictions and in the truth.")
    return Labels(classes=tuple(Class(name=str(i), id=i) for i in ids))


def _shape(shape: tuple[int, ...]) -> str:
    size = "x".join(str(n) for n in shape[1:])
    return size if shape[0] == 1 else f"{shape[0]} masks of {size}"
