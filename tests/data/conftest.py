"""A small plan, and data sets of a few tiny scans on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from delineate.data import Batches, Cache, prepare
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


@pytest.fixture
def cache(plan, make_cases, tmp_path) -> Cache:
    """Five prepared cases."""
    return prepare(make_cases(5), plan, tmp_path / "cache")


def _batches_of(cache: Cache, plan: Plan, **changes) -> Batches:
    ids = [case.id for case in cache.cases]
    facts = {"seed": 3, "batch_size": 2, "read_patch": plan.patch, "foreground": 0.5, "steps": 4}
    return Batches(cache, ids, plan, **(facts | changes))


@pytest.fixture(scope="session")
def batches_of() -> Callable[..., Batches]:
    """Four batches of all cases; any argument can be changed."""
    return _batches_of


def _assert_equal(found, expected) -> None:
    import torch

    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.cases, a.step, a.spacing) == (b.cases, b.step, b.spacing)
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target.mask, b.target.mask)
        if a.target.distance is not None or b.target.distance is not None:
            assert torch.equal(a.target.distance, b.target.distance)


@pytest.fixture(scope="session")
def assert_equal() -> Callable[..., None]:
    """Batches are those that are expected, one by one."""
    return _assert_equal
