"""Where patches are cut."""

import numpy as np
import pytest

from delineate.data import draw_patch

PLACES = {1: np.array([[20, 15, 3]], np.uint16), 5: np.array([[0, 0, 0], [39, 29, 9]], np.uint16)}


def draws(shape, patch, foreground, *, share, count=2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([draw_patch(rng, shape, patch, foreground, share=share) for _ in range(count)])


def holds(starts, patch, place) -> np.ndarray:
    return ((starts <= place) & (place < starts + np.array(patch))).all(axis=1)


def test_a_foreground_patch_holds_its_voxel_and_stays_inside():
    starts = draws((40, 30, 10), (8, 6, 4), PLACES, share=1.0)
    held = [holds(starts, (8, 6, 4), p) for p in ([20, 15, 3], [0, 0, 0], [39, 29, 9])]
    assert (held[0] | held[1] | held[2]).all()
    assert (starts >= 0).all()
    assert (starts + np.array([8, 6, 4]) <= [40, 30, 10]).all()


def test_classes_are_drawn_evenly_however_many_voxels_they_have():
    starts = draws((40, 30, 10), (8, 6, 4), PLACES, share=1.0)
    assert holds(starts, (8, 6, 4), [20, 15, 3]).mean() == pytest.approx(0.5, abs=0.05)


def test_the_voxel_lies_anywhere_in_the_middle_half_of_the_patch():
    starts = draws((40, 30, 10), (8, 8, 1), {1: PLACES[1]}, share=1.0)
    assert set(20 - starts[:, 0]) == {2, 3, 4, 5, 6}
    assert set(starts[:, 2]) == {3}


def test_the_share_of_foreground_is_the_one_asked_for():
    place = {1: PLACES[1]}
    random = holds(draws((40, 30, 10), (8, 6, 4), {}, share=0.3), (8, 6, 4), place[1][0]).mean()
    found = holds(draws((40, 30, 10), (8, 6, 4), place, share=0.3), (8, 6, 4), place[1][0]).mean()
    assert found == pytest.approx(0.3 + 0.7 * random, abs=0.04)


def test_without_foreground_every_start_is_as_likely():
    starts = draws((12, 9, 4), (8, 6, 4), {}, share=1.0)
    counts = np.unique(starts, axis=0, return_counts=True)[1]
    assert len(counts) == 5 * 4 * 1
    assert counts.min() > 60


def test_a_case_smaller_than_the_patch_lies_in_its_middle():
    starts = draws((4, 30, 5), (8, 6, 8), {1: np.array([[3, 15, 0]])}, share=0.5, count=50)
    assert set(starts[:, 0]) == {-2}
    assert set(starts[:, 2]) == {-2}
    assert ((starts[:, 1] >= 0) & (starts[:, 1] <= 24)).all()
