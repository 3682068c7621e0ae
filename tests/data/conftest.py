"""A small plan, and data sets of a few tiny scans on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from delineate.datasets import Case
from delineate.io import Grid, Volume, write_image, write_mask
from delineate.labels import Labels
from delineate.plan import Network, Normalisation, Plan


def _plan(**changes) -> Plan:
    facts = {
        "channels": ("MRI",),
        "labels": Labels.from_names({"anterior": 1, "posterior": 2}),
        "spacing": (1.0, 1.0, 1.0),
        "shape": (16, 16, 16),
        "crop_nonzero": False,
        "normalisation": (Normalisation(kind="zscore"),),
        "separate_axis": None,
        "patch": (8, 8, 8),
        "batch_size": 2,
        "network": Network(
            features=(8,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(2,)
        ),
        "memory_gb": 1.0,
    }
    return Plan(**(facts | changes))


def _volume(array: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> Volume:
    affine = np.diag([*spacing, *([1.0] * (4 - len(spacing)))])
    return Volume(array=array, affine=affine, source=Grid(shape=array.shape[1:], affine=affine))


def _scan(rng: np.random.Generator, shape=(14, 12, 10)) -> tuple[np.ndarray, np.ndarray]:
    image = rng.normal(100, 20, (1, *shape)).astype(np.float32)
    mask = np.zeros((1, *shape), np.uint8)
    mask[0, 2:5, 3:7, 2:8] = 1
    mask[0, 6:9, 4:9, 3:6] = 2
    image[mask > 0] += 60
    return image, mask


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., Plan]:
    """A plan for one channel and two structures; any field can be changed."""
    return _plan


@pytest.fixture(scope="session")
def make_volume() -> Callable[..., Volume]:
    """A volume that came from a file with the same axes."""
    return _volume


@pytest.fixture
def plan() -> Plan:
    return _plan()


@pytest.fixture
def make_cases(tmp_path: Path) -> Callable[[int], tuple[Case, ...]]:
    """Cases case_0, case_1, ... on disk, the last ones larger."""

    def make(count: int) -> tuple[Case, ...]:
        rng = np.random.default_rng(0)
        cases = []
        for i in range(count):
            image, mask = _scan(rng, (14 + i, 12, 10))
            like = _volume(image)
            paths = tmp_path / f"case_{i}.nii.gz", tmp_path / f"case_{i}_mask.nii.gz"
            write_image(paths[0], image, like)
            write_mask(paths[1], mask[0], like)
            cases.append(Case(id=f"case_{i}", images=(str(paths[0]),), label=str(paths[1])))
        return tuple(cases)

    return make
