import re

import numpy as np
import pytest

from delineate.report.contours import contour


def loops(path):
    return [
        [tuple(map(float, place.split())) for place in loop.split("L")]
        for loop in re.findall(r"M([^MZ]+)Z", path)
    ]


def area(loop):
    """Signed, by the shoelace formula."""
    x, y = np.array([*loop, loop[0]]).T
    return 0.5 * float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def test_one_voxel_is_a_diamond_around_its_centre():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    (loop,) = loops(contour(mask))
    assert set(loop) == {(2.5, 1.0), (3.0, 1.5), (2.5, 2.0), (2.0, 1.5)}


def test_a_mask_up_to_the_border_is_closed_along_it():
    (loop,) = loops(contour(np.ones((3, 5), bool)))
    assert len(loop) == 8
    assert abs(area(loop)) == pytest.approx(15 - 4 * 0.125)


def test_a_hole_runs_the_other_way():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    areas = sorted((area(loop) for loop in loops(contour(mask))), key=abs)
    assert len(areas) == 2
    assert areas[0] * areas[1] < 0


def test_loops_enclose_the_area_of_any_mask():
    rng = np.random.default_rng(0)
    mask = rng.random((20, 20)) > 0.5
    padded = np.pad(mask, 1).astype(float)
    cells = padded[:-1, :-1] + padded[:-1, 1:] + padded[1:, :-1] + padded[1:, 1:]
    opposite = (padded[:-1, :-1] == padded[1:, 1:]) & (cells == 2)
    # By cell: a lone corner cuts off 1/8, a pair side by side 1/2, three corners 7/8.
    parts = np.select([cells == 1, opposite, cells == 2, cells == 3, cells == 4],
                      [0.125, 0.25, 0.5, 0.875, 1.0])  # fmt: skip
    assert abs(sum(map(area, loops(contour(mask))))) == pytest.approx(parts.sum())


def test_an_empty_mask_has_no_outline():
    assert contour(np.zeros((4, 4), bool)) == ""
