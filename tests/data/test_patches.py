"""Where patches are cut."""

import numpy as np

from delineate.data.patches import patch_anywhere, patch_around


def around(shape, patch, place, *, count=500) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([patch_around(rng, shape, patch, place) for _ in range(count)])


def anywhere(shape, patch, *, count=2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([patch_anywhere(rng, shape, patch) for _ in range(count)])


def test_a_patch_around_a_place_holds_it_and_stays_inside():
    for place in [(20, 15, 3), (0, 0, 0), (39, 29, 9)]:
        starts = around((40, 30, 10), (8, 6, 4), place)
        assert ((starts <= place) & (place < starts + np.array([8, 6, 4]))).all()
        assert (starts >= 0).all()
        assert (starts + np.array([8, 6, 4]) <= [40, 30, 10]).all()


def test_the_place_lies_anywhere_in_the_middle_half_of_the_patch():
    starts = around((40, 30, 10), (8, 8, 1), (20, 15, 3))
    assert set(20 - starts[:, 0]) == {2, 3, 4, 5, 6}
    assert set(starts[:, 2]) == {3}


def test_anywhere_every_start_is_as_likely():
    counts = np.unique(anywhere((12, 9, 4), (8, 6, 4)), axis=0, return_counts=True)[1]
    assert len(counts) == 5 * 4 * 1
    assert counts.min() > 60


def test_a_case_smaller_than_the_patch_lies_in_its_middle():
    for starts in (
        around((4, 30, 5), (8, 6, 8), (3, 15, 0), count=50),
        anywhere((4, 30, 5), (8, 6, 8), count=50),
    ):
        assert set(starts[:, 0]) == {-2}
        assert set(starts[:, 2]) == {-2}
        assert ((starts[:, 1] >= 0) & (starts[:, 1] <= 24)).all()
