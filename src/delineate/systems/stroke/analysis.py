"""What a folder of scans with lesions is like: how many, how large, and how much is lesion."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from delineate.cores import usable_cores
from delineate.datasets import Case, read_dataset
from delineate.errors import DataError
from delineate.io import read_header, read_mask, read_volume
from delineate.systems.stroke.brain import find_brain

__all__ = ["analyze_dataset"]

MOST_READ = 32
"""Cases whose voxels are read, evenly spread over all."""


def analyze_dataset(data_dir: str | Path) -> dict[str, Any]:
    """Counts, and shape and voxel size of every scan; of up to 32 cases the lesion's share.

    The share is in percent of the brain's voxels. A case that cannot be read, or whose mask lies on
    another grid, is a DataError; so is a folder without a mask.
    """
    dataset = read_dataset(Path(data_dir))
    learnt = [case for case in dataset.cases if case.label is not None and case.split != "test"]
    if not learnt:
        raise DataError(
            f"{data_dir}: none of the {len(dataset.cases)} scans has a mask to learn from."
        )
    chosen = learnt if len(learnt) <= MOST_READ else _spread(learnt, MOST_READ)
    with ThreadPoolExecutor(usable_cores()) as pool:
        headers = list(pool.map(lambda case: read_header(case.images[0]), dataset.cases))
        percents = np.array(list(pool.map(_lesion_percent, chosen)))
    shapes = [header.shape for header in headers]
    spacings = np.array([header.spacing for header in headers], float)
    return {
        "cases": len(learnt),
        "scans": len(dataset.cases),
        "median_shape": [int(n) for n in np.median(shapes, axis=0)],
        "smallest_shape": [int(n) for n in np.min(shapes, axis=0)],
        "largest_shape": [int(n) for n in np.max(shapes, axis=0)],
        "voxel_size": [round(float(mm), 4) for mm in np.median(spacings, axis=0)],
        "cases_read": len(chosen),
        "average_lesion_percent": round(float(percents.mean()), 4),
        "median_lesion_percent": round(float(np.median(percents)), 4),
        "lesion_percent_range": [round(float(v), 4) for v in (percents.min(), percents.max())],
    }


def _spread(cases: Sequence[Case], number: int) -> list[Case]:
    return [cases[round(i)] for i in np.linspace(0, len(cases) - 1, number)]


def _lesion_percent(case: Case) -> float:
    assert case.label is not None
    image, mask = read_volume(case.images[0]), read_mask(case.label)
    if image.shape != mask.shape:
        size, other = ("x".join(map(str, v.shape)) for v in (image, mask))
        raise DataError(
            f"{case.id}: the mask has {other} voxels, the scan {size}. "
            "Fix: delineate doctor lists every such case."
        )
    lesion = mask.array[0] > 0
    # A lesion at the border is as dark as what lies outside.
    brain = find_brain(image.array[0], image.spacing) | lesion
    voxels = int(brain.sum())
    return 100 * float(lesion.sum()) / voxels if voxels else 0.0
