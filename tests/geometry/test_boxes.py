"""Boxes of voxels."""

import numpy as np
import pytest

from delineate.geometry import bounding_box, cut


def test_the_bounding_box_is_that_of_all_true_voxels():
    rng = np.random.default_rng(0)
    for _ in range(20):
        filled = rng.random((5, 6, 7)) > 0.98
        places = np.argwhere(filled)
        box = bounding_box(filled)
        if len(places) == 0:
            assert box is None
        else:
            expected = zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
            assert box == tuple(expected)


@pytest.mark.parametrize(
    ("start", "stop"),
    [((0, 0), (5, 6)), ((-2, 1), (3, 9)), ((1, 1), (2, 2)), ((-9, -9), (-1, -1)), ((7, 7), (9, 9))],
)
def test_a_box_over_the_border_is_filled_with_zeros(start, stop):
    array = np.arange(1, 61).reshape(2, 5, 6)
    wide = np.pad(array, ((0, 0), (10, 10), (10, 10)))
    expected = wide[:, start[0] + 10 : stop[0] + 10, start[1] + 10 : stop[1] + 10]
    found = np.full(expected.shape, 99.0, np.float32)
    cut(array, start, stop, out=found)
    np.testing.assert_array_equal(found, expected)
