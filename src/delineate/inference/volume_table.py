"""The table `volumes.csv` beside the masks: how much of each class each scan has."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from delineate.inference.postprocess import find_region
from delineate.io import Volume, atomic_path
from delineate.labels import Labels

__all__ = ["VolumeTable", "measure_volumes"]

COLUMNS = ("case", "class", "voxels", "volume_ml")
_MM3_PER_ML = 1000.0

Row = tuple[str, str, int, str]


class VolumeTable:
    """One row per case and class, written case by case: an interrupted prediction keeps them."""

    def __init__(self, path: Path, labels: Labels) -> None:
        self.path = path
        self.labels = labels
        rows = [row for row in _read(path) if len(row) == len(COLUMNS)]
        self.cases = _complete(rows, labels)
        # Anew: the last rows may have been cut off.
        with atomic_path(path) as part:
            _write(part, [COLUMNS, *(row for row in rows if row[0] in self.cases)], mode="w")

    def add(self, case: str, mask: Volume) -> None:
        """Append the rows of a case."""
        _write(self.path, measure_volumes(case, mask, self.labels), mode="a")
        self.cases.add(case)


def measure_volumes(case: str, mask: Volume, labels: Labels) -> list[Row]:
    """A row for each class, unions included; pictures have pixels but no millilitres."""
    voxel_ml = float(np.prod(mask.spacing)) / _MM3_PER_ML
    volumetric = len(mask.shape) == 3
    array = mask.array if labels.overlapping else mask.array[0]
    rows = []
    for name in labels.names:
        voxels = int(np.count_nonzero(find_region(array, name, labels)))
        rows.append((case, name, voxels, f"{voxels * voxel_ml:.6g}" if volumetric else ""))
    return rows


def _complete(rows: list[list[str]], labels: Labels) -> set[str]:
    """The cases with a row for every class."""
    classes: dict[str, set[str]] = {}
    for case, name, *_ in rows:
        classes.setdefault(case, set()).add(name)
    return {case for case, names in classes.items() if names >= set(labels.names)}


def _read(path: Path) -> list[list[str]]:
    """All rows that end with their line."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return list(csv.reader(whole.splitlines()))[1:]


def _write(path: Path, rows: Iterable[Iterable[object]], *, mode: str) -> None:
    with path.open(mode, newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
