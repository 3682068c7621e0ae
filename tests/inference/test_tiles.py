import numpy as np
import pytest

from delineate.inference.decision import matrices_of, reach
from delineate.inference.lines import make_line
from delineate.inference.tiles import tilings

PATCH, OVERLAP = (8, 6, 8), 0.5


def ways(old, new, axis=0):
    lines = [make_line(n, p, OVERLAP) for n, p in zip(old, PATCH, strict=True)]
    matrices = matrices_of(old, new, separate_axis=None)
    return lines, matrices, list(tilings(lines, matrices, axis=axis, old=old, new=new))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("old", "new"),
    [((20, 23, 31), (20, 23, 31)), ((20, 23, 31), (27, 11, 60)), ((20, 23, 31), (3, 90, 4))],
)
def test_tiles_share_out_mask_and_grid_and_hold_what_their_voxels_need(old, new, axis):
    _, matrices, found = ways(old, new, axis)
    assert len(found) > 4
    for way in found:
        target, own = np.zeros(new, int), np.zeros(old, int)
        for tile in way.tiles:
            target[tuple(slice(*b) for b in tile.target)] += 1
            own[tuple(slice(*b) for b in tile.own)] += 1
            for a, matrix in enumerate(matrices):
                first, last = reach(matrix, new[a])
                low, high = tile.target[a]
                assert tile.box[a][0] <= min(first[low], tile.own[a][0])
                assert tile.box[a][1] >= max(last[high - 1] + 1, tile.own[a][1])
            assert tile.box[axis] == (0, old[axis])
        assert (target == 1).all()
        assert (own == 1).all()


def test_the_whole_scan_comes_first_and_costs_what_it_costs():
    _, _, found = ways((20, 23, 31), (20, 23, 31))
    (tile,) = found[0].tiles
    assert tile.box == tile.target == tile.own == ((0, 20), (0, 23), (0, 31))
    assert (found[0].work, found[0].row) == (1, 23 * 31)


def test_the_work_counts_the_windows_of_every_tile():
    lines, _, found = ways((20, 23, 31), (20, 23, 31))
    windows = np.prod([len(line.starts) for line in lines])
    for way in found:
        counted = sum(
            np.prod([len(line.touching(*b)) for line, b in zip(lines, tile.box, strict=True)])
            for tile in way.tiles
        )
        assert way.work == pytest.approx(counted / windows)


def test_the_row_is_that_of_the_largest_tile():
    _, _, found = ways((20, 23, 31), (31, 12, 31), axis=2)
    for way in found:
        sides = [[b - a for a, b in tile.box] for tile in way.tiles]
        assert way.row == max(i * j for i, j, _ in sides)


def test_reach_is_the_first_and_last_voxel_with_a_weight():
    (matrix,) = matrices_of((4,), (8,), separate_axis=None)
    first, last = reach(matrix, 8)
    np.testing.assert_array_equal(first, [0, 0, 0, 1, 1, 2, 2, 3])
    np.testing.assert_array_equal(last, [0, 1, 1, 2, 2, 3, 3, 3])
    first, last = reach(None, 3)
    np.testing.assert_array_equal(first, [0, 1, 2])
    np.testing.assert_array_equal(last, [0, 1, 2])
