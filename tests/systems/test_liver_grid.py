"""The grid of prepared volumes against closed forms, and the way back to the scan."""

import json

import nibabel as nib
import numpy as np
import pytest

from delineate import io
from delineate.data import decide
from delineate.geometry import slices
from delineate.systems.liver.grid import Grid
from delineate.systems.liver.preprocessing import prepare_mask

OBLIQUE = np.array(
    [[-1.96, 0.1, 0.0, 30.0], [0.2, 1.1, -0.4, -7.0], [0.1, 0.3, 2.9, 12.0], [0, 0, 0, 1.0]]
)


def volume(array: np.ndarray, affine: np.ndarray) -> io.Volume:
    """As it is read from a file whose axes are canonical."""
    grid = io.Grid(shape=array.shape, affine=affine)
    return io.Volume(array=array[None], affine=affine, source=grid)


def bring_back(ids: np.ndarray, grid: Grid) -> np.ndarray:
    """As predictions go: the scores of the scan's box, decided on the scan's grid."""
    scores = np.stack([ids == i for i in range(ids.max() + 1)]).astype(np.float32)
    return decide(scores[(slice(None), *slices(grid.box))], grid.scan_shape, threshold=None)


@pytest.mark.parametrize("size", [None, (40, 40, 40), (9, 11, 10)])
def test_the_edges_of_the_scan_stay_where_they_are(size: tuple[int, ...] | None) -> None:
    source = io.Grid(shape=(13, 24, 10), affine=OBLIQUE)
    grid = Grid.plan(source, spacing=(1.5, 1.5, 1.5), size=size)
    low, high = (np.array(edges) - 0.5 for edges in zip(*grid.box, strict=True))
    for here, there in ((low, np.full(3, -0.5)), (high, np.array(grid.scan_shape) - 0.5)):
        np.testing.assert_allclose(
            grid.affine @ [*here, 1], grid.scan.affine @ [*there, 1], atol=1e-9
        )
    assert grid.scan_shape == (13, 24, 10)
    np.testing.assert_allclose(
        grid.scan.affine,
        nib.as_closest_canonical(nib.Nifti1Image(np.zeros((13, 24, 10)), OBLIQUE)).affine,
    )
    assert size is None or grid.shape == size


def test_a_scan_that_does_not_fit_is_coarsened_evenly_and_laid_in_the_middle() -> None:
    source = io.Grid(shape=(100, 80, 50), affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    grid = Grid.plan(source, spacing=(1.0, 1.0, 1.0), size=(50, 50, 60))
    # 100 mm on 50 voxels: every voxel is 2 mm.
    np.testing.assert_allclose(grid.spacing, (2.0, 2.0, 2.0))
    assert grid.box == ((0, 50), (5, 45), (5, 55))
    assert Grid.plan(source, spacing=(1.0, 1.0, 1.0), size=None).shape == (100, 80, 100)
    small = Grid.plan(source, spacing=(4.0, 4.0, 4.0), size=(50, 50, 60))
    np.testing.assert_allclose(small.spacing, (4.0, 4.0, 4.0))
    assert small.box == ((12, 37), (15, 35), (17, 42))


def test_a_grid_is_the_same_after_json() -> None:
    source = io.Grid(shape=(13, 24, 10), affine=OBLIQUE)
    grid = Grid.plan(source, spacing=(1.5, 1.0, 2.0), size=(32, 32, 32))
    again = Grid.from_json(json.loads(json.dumps(grid.to_json())))
    assert (again.shape, again.box, again.source.shape) == (grid.shape, grid.box, (13, 24, 10))
    np.testing.assert_array_equal(again.affine, grid.affine)


def test_a_mask_finds_its_way_back_to_the_scan() -> None:
    where = np.indices((30, 26, 22))
    ball = (((where - np.array([15, 13, 11]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 60).astype(
        np.uint8
    )
    mask = volume(ball, np.diag([1.0, 1.2, 2.0, 1.0]))
    grid = Grid.plan(mask.source, spacing=(1.5, 1.5, 1.5), size=(24, 24, 32))
    ids = prepare_mask(mask, grid)
    assert ids.shape == (24, 24, 32)
    volumes = ball.sum() * 2.4, ids.sum() * np.prod(grid.spacing)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)
    back = bring_back(ids, grid)
    assert 2 * (back & ball).sum() / (back.sum() + ball.sum()) > 0.95


def test_the_way_back_is_exact_where_nothing_was_resampled() -> None:
    rng = np.random.default_rng(0)
    mask = volume(rng.integers(0, 3, (7, 6, 5)).astype(np.uint8), np.eye(4))
    grid = Grid.plan(mask.source, spacing=(1.0, 1.0, 1.0), size=(10, 6, 8))
    ids = prepare_mask(mask, grid)
    assert np.count_nonzero(ids) == np.count_nonzero(mask.array)
    np.testing.assert_array_equal(bring_back(ids, grid), mask.array[0])
