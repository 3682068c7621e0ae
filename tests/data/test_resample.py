"""Resampling against scipy's splines and brute force."""

from importlib import import_module

import numpy as np
import pytest
from scipy import ndimage

from delineate.data.interpolation import weights
from delineate.data.resample import decide, resample, resample_mask, resample_scores


def zoom(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    factors = [n / o for n, o in zip(shape, array.shape, strict=True)]
    return ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)


def shares_of(mask: np.ndarray, shape: tuple[int, ...], values: list[int]) -> np.ndarray:
    return np.stack([zoom((mask == v).astype(np.float64), shape, 1) for v in values])


def blobs(rng: np.random.Generator, shape: tuple[int, ...], classes: int) -> np.ndarray:
    fields = ndimage.gaussian_filter(rng.normal(size=(classes, *shape)), (0, *[2] * len(shape)))
    return fields.argmax(axis=0).astype(np.int8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((20, 31, 17), (33, 25, 17)),
        ((1, 9, 5), (1, 20, 2)),
        ((90, 70), (141, 66)),
        ((3, 2), (1, 90)),
    ],
)
def test_a_cubic_image_differs_from_scipy_by_rounding_only(old, new):
    image = np.random.default_rng(0).normal(size=old).astype(np.float32)
    expected = zoom(image.astype(np.float64), new, 3)
    found = resample(image[None], new)[0]
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 5e-6


def test_linear_scores_differ_from_scipy_by_rounding_only():
    scores = np.random.default_rng(0).normal(size=(3, 9, 14, 80)).astype(np.float32)
    found = resample_scores(scores, (21, 7, 133))
    expected = [zoom(s.astype(np.float64), (21, 7, 133), 1) for s in scores]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_each_channel_is_resampled_on_its_own():
    image = np.random.default_rng(0).normal(size=(2, 6, 7, 8)).astype(np.float32)
    both = resample(image, (9, 5, 12))
    for one, channel in zip(both, image, strict=True):
        np.testing.assert_allclose(one, resample(channel[None], (9, 5, 12))[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(("old", "new"), [(1, 7), (7, 1), (40, 61), (61, 40), (300, 150)])
def test_weights_sum_to_one_so_a_constant_stays_constant(kind, old, new):
    np.testing.assert_allclose(weights(old, new, kind).sum(axis=1), 1, atol=1e-5)


def test_a_separate_axis_takes_the_nearest_slice_and_the_others_are_cubic():
    image = np.random.default_rng(0).normal(size=(1, 12, 10, 4)).astype(np.float32)
    found = resample(image, (18, 15, 8), separate_axis=2)
    for k in range(8):
        expected = zoom(image[0, :, :, k // 2].astype(np.float64), (18, 15), 3)
        np.testing.assert_allclose(found[0, :, :, k], expected, atol=5e-6)


def test_a_mask_is_the_largest_linear_share():
    mask = blobs(np.random.default_rng(0), (13, 17, 11), 5)
    mask[0:4, 0:5, 0:3] = -1
    values = [-1, 0, 1, 2, 3, 4]
    shares = shares_of(mask, (21, 12, 19), values)
    found = resample_mask(mask, (21, 12, 19))
    chosen = np.take_along_axis(shares, (found + 1)[None].astype(int), axis=0)[0]
    assert np.abs(chosen - shares.max(axis=0)).max() < 1e-4
    ordered = np.sort(shares, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-4
    np.testing.assert_array_equal(found[clear], np.array(values)[shares.argmax(axis=0)][clear])
    assert clear.mean() > 0.95


def test_an_ignored_region_stays_ignored():
    mask = np.zeros((8, 8), np.int8)
    mask[:, 4:] = -1
    found = resample_mask(mask, (16, 16))
    assert (found[:, 8:] == -1).all()
    assert (found[:, :8] == 0).all()


def test_between_equal_shares_the_structure_wins_over_background():
    mask = np.array([0, 1, 0, 0], np.int8)
    np.testing.assert_array_equal(resample_mask(mask, (2,)), [1, 0])


def test_overlapping_layers_are_cut_at_one_half_each():
    layers = np.zeros((2, 6, 6), np.int8)
    layers[0, 1:5, 1:5] = 1
    layers[1, 2:4, 2:4] = 1
    found = resample_mask(layers, (11, 9))
    expected = [zoom(layer.astype(np.float64), (11, 9), 1) >= 0.5 for layer in layers]
    np.testing.assert_array_equal(found, np.array(expected))


def test_a_structure_between_two_sampled_voxels_vanishes_without_an_error():
    mask = np.zeros(30, np.int8)
    mask[0] = 1
    assert not resample_mask(mask, (2,)).any()


def test_a_mask_keeps_its_identity_where_the_shape_stays():
    mask = blobs(np.random.default_rng(0), (5, 6), 3)
    np.testing.assert_array_equal(resample_mask(mask, (5, 6)), mask)


@pytest.mark.parametrize("slab", [40, 10**6])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_scores_decided_in_slabs_equal_scores_resampled_whole(monkeypatch, slab, kind):
    monkeypatch.setattr(import_module("delineate.data.resample"), "_SLAB_VOXELS", slab)
    scores = np.random.default_rng(0).normal(size=(4, 9, 6, 7)).astype(kind)
    for shape in ((20, 5, 9), (9, 6, 7), (9, 12, 7)):
        whole = resample_scores(scores, shape)
        np.testing.assert_array_equal(decide(scores, shape, threshold=None), whole.argmax(axis=0))
        np.testing.assert_array_equal(decide(scores, shape, threshold=0.3), whole > 0.3)


def test_deciding_never_holds_the_scores_of_all_classes_at_full_size():
    import tracemalloc

    scores = np.random.default_rng(0).normal(size=(40, 8, 16, 16)).astype(np.float32)
    tracemalloc.start()
    decide(scores, (64, 64, 64), threshold=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 64**3 * 4 / 5


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(
        ValueError, match=r"the array has 2 spatial axes, the new shape \(3,\) has 1"
    ):
        resample(np.zeros((1, 4, 4), np.float32), (3,))
