"""Signed distances against brute force."""

import numpy as np
import pytest

from delineate.geometry import fill_continued, signed_distance


def continued(stored, start, stop, **rest) -> np.ndarray:
    out = np.full([b - a for a, b in zip(start, stop, strict=True)], np.nan, np.float32)
    fill_continued(out, stored, start, **rest)
    return out


def brute_force(filled: np.ndarray, spacing) -> np.ndarray:
    step = np.array(spacing)
    inside, outside = np.argwhere(filled) * step, np.argwhere(~filled) * step
    out = np.empty(filled.shape)
    for place in np.ndindex(filled.shape):
        others = outside if filled[place] else inside
        nearest = np.sqrt(((others - place * step) ** 2).sum(axis=1).min())
        out[place] = -nearest if filled[place] else nearest
    return out


@pytest.mark.parametrize("share", [0.003, 0.1, 0.5, 0.995])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((14, 11, 9), (0.7, 1.0, 3.5)), ((23, 30), (0.2, 0.1)), ((40,), (2.0,))]
)
def test_distances_are_those_of_brute_force(shape, spacing, share):
    filled = np.random.default_rng(0).random(shape) < share
    filled.flat[5] = True
    filled.flat[-3] = False
    found = signed_distance(filled, spacing)
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(filled, spacing), rtol=1e-6)


def test_a_compact_structure_and_its_complement_have_opposite_signs():
    filled = np.zeros((30, 20, 25), bool)
    filled[3:9, 0:12, 20:25] = True
    found, other = signed_distance(filled, (1, 2, 0.5)), signed_distance(~filled, (1, 2, 0.5))
    np.testing.assert_array_equal(found, -other)
    np.testing.assert_allclose(found, brute_force(filled, (1, 2, 0.5)), rtol=1e-6)


def test_a_large_picture_is_that_of_scipy():
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(1)
    filled = np.zeros((300, 220), bool)
    for y, x in rng.integers(5, 200, (8, 2)):
        filled[y : y + 15, x : x + 9] = True
    found = signed_distance(filled, (1.5, 0.5))
    expected = distance_transform_edt(~filled, (1.5, 0.5)) - distance_transform_edt(
        filled, (1.5, 0.5)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_class_without_a_surface_has_no_distance():
    assert signed_distance(np.zeros((3, 4), bool), (1, 1)) is None
    assert signed_distance(np.ones((3, 4), bool), (1, 1)) is None


def test_over_the_border_a_class_is_as_far_as_its_last_voxel():
    # A class that touches the border: beyond it the mask is background, and so is the distance.
    stored = np.array([-3.0, -2.0, -1.0, 1.0, 2.0])
    found = continued(stored, (-2,), (8,), spacing=(2.0,), filled_beyond=False)
    expected = [4, 2, -6, -4, -2, 2, 4, np.hypot(4, 2), np.hypot(4, 4), np.hypot(4, 6)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = continued(-stored, (-2,), (8,), spacing=(2.0,), filled_beyond=True)
    np.testing.assert_allclose(found, -np.array(expected), rtol=1e-6)


def test_over_the_border_no_distance_is_more_than_the_true_one():
    whole = np.zeros((24, 24, 12), bool)
    whole[9:14, 6:12, 2:5] = True
    spacing = (1.0, 0.5, 2.0)
    true = signed_distance(whole, spacing)
    known = signed_distance(whole[6:18, 6:18], spacing)
    unit = known / min(spacing)
    found = continued(unit, (-6, -6, 0), (18, 18, 12), spacing=spacing, filled_beyond=False)
    np.testing.assert_allclose(found[6:18, 6:18], known, rtol=1e-6)
    outside = np.ones(whole.shape, bool)
    outside[6:18, 6:18] = False
    assert (found[outside] <= true[outside] * (1 + 1e-6)).all()
    assert (found[outside] > 0).all()
    # Exact on the straight line from the structure over the border.
    np.testing.assert_allclose(found[11, :6, 3], true[11, :6, 3], rtol=1e-6)
