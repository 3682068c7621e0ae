"""Scans to the plan's grid and back."""

import numpy as np
import pytest

from delineate.data import preprocess, preprocess_mask, resample, resample_mask, restore
from delineate.data.preprocess import PREPROCESSING, normalise
from delineate.errors import DataError, PlanError
from delineate.labels import Class, Labels
from delineate.plan import Normalisation

RNG_SHAPE = (1, 9, 8, 7)


def random_image(shape=RNG_SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(1000, 50, shape).astype(np.float32)


def test_the_zscore_has_mean_zero_and_deviation_one():
    image = random_image()
    found = normalise(image, (Normalisation(kind="zscore"),))
    np.testing.assert_allclose(found, (image - image.mean()) / image.std(), atol=1e-4)


def test_the_zscore_of_nonzero_voxels_leaves_zeros_zero():
    image = random_image()
    image[0, :4] = 0
    found = normalise(image, (Normalisation(kind="zscore", nonzero=True),))
    inside = image[0, 4:]
    assert not found[0, :4].any()
    np.testing.assert_allclose(found[0, 4:], (inside - inside.mean()) / inside.std(), atol=1e-4)


def test_ct_is_clipped_then_shifted_and_scaled():
    rule = Normalisation(kind="ct", mean=50, deviation=20, low=-100, high=300)
    found = normalise(np.array([[-1000, 50, 70, 3000]], np.int16), (rule,))
    np.testing.assert_allclose(found, [[-7.5, 0, 1, 12.5]])


def test_a_picture_is_scaled_to_one_and_none_changes_nothing():
    image = np.array([[0, 255]], np.uint8)
    np.testing.assert_array_equal(normalise(image, (Normalisation(kind="scale"),)), [[0, 1]])
    np.testing.assert_array_equal(normalise(image, (Normalisation(kind="none"),)), [[0, 255]])


@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize("value", [0, 0.1, 7, 1e9])
def test_a_constant_image_becomes_zeros_not_nan(value, nonzero):
    image = np.full((1, 5, 5, 5), value, np.float64)
    assert not normalise(image, (Normalisation(kind="zscore", nonzero=nonzero),)).any()


def test_integers_of_any_range_are_normalised_without_overflow():
    image = np.array([[0, 40000, 65535, 1]], np.uint16)
    expected = (image - image.mean()) / image.std()
    found = normalise(image, (Normalisation(kind="zscore"),))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_crop_the_statistics_and_the_grid_follow_one_another(make_plan, make_volume):
    image = np.zeros((1, 12, 10, 8), np.float32)
    image[:, 2:10, 3:9, 1:7] = random_image((1, 8, 6, 6))
    plan = make_plan(crop_nonzero=True, spacing=(1.0, 2.0, 0.5))
    prepared = preprocess(make_volume(image, (2.0, 2.0, 1.0)), plan)
    assert prepared.box == ((2, 10), (3, 9), (1, 7))
    assert prepared.shape == (16, 6, 12)
    inside = normalise(image[:, 2:10, 3:9, 1:7], plan.normalisation)
    np.testing.assert_allclose(prepared.array, resample(inside, (16, 6, 12)), atol=1e-5)


def test_an_empty_image_is_not_cropped_away(make_plan, make_volume):
    prepared = preprocess(make_volume(np.zeros((1, 4, 4, 4))), make_plan(crop_nonzero=True))
    assert prepared.shape == (4, 4, 4)
    assert not prepared.array.any()


def test_a_thin_image_keeps_one_voxel(make_plan, make_volume):
    plan = make_plan(spacing=(1.0, 1.0, 50.0))
    assert preprocess(make_volume(random_image((1, 4, 4, 3))), plan).shape == (4, 4, 1)


def test_a_mask_lands_on_the_grid_of_its_image(make_plan, make_volume):
    plan = make_plan(crop_nonzero=True, spacing=(0.5, 0.5, 0.5))
    image = np.zeros((1, 8, 8, 8), np.float32)
    image[:, 1:7, 1:7, 1:7] = random_image((1, 6, 6, 6))
    mask = np.zeros((1, 8, 8, 8), np.uint8)
    mask[:, 2:4, 3:6, 2:5] = 2
    prepared = preprocess(make_volume(image), plan)
    found = preprocess_mask(make_volume(mask), plan.labels, prepared)
    assert found.shape == prepared.shape == (12, 12, 12)
    expected = np.zeros((12, 12, 12))
    expected[2:6, 4:10, 2:8] = 2
    # Linear interpolation rounds corners: their share is .75 ** 3.
    expected[np.ix_((2, 5), (4, 9), (2, 7))] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("separate_axis", [None, 2])
def test_a_mask_and_its_scores_come_back_to_the_voxels_they_left(
    make_plan, make_volume, separate_axis
):
    image = np.zeros((1, 15, 14, 13), np.float32)
    image[:, 2:14, 1:13, 0:12] = random_image((1, 12, 12, 12))
    mask = np.zeros((1, 15, 14, 13), np.uint8)
    mask[:, 4:8, 3:9, 2:8] = 1
    mask[:, 8:12, 5:9, 4:10] = 2
    plan = make_plan(crop_nonzero=True, spacing=(0.5, 0.4, 0.5), separate_axis=separate_axis)
    prepared = preprocess(make_volume(image), plan)
    encoded = preprocess_mask(make_volume(mask), plan.labels, prepared)
    np.testing.assert_array_equal(restore(encoded, prepared), mask[0])
    onehot = np.stack([encoded == c for c in range(3)]).astype(np.float32)
    np.testing.assert_array_equal(restore(onehot, prepared), mask[0])
    layers = restore(onehot, prepared, threshold=0.5)
    np.testing.assert_array_equal(layers[1:], np.stack([mask[0] == 1, mask[0] == 2]))


def test_overlapping_masks_stay_layers(make_plan, make_volume):
    labels = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
    plan = make_plan(labels=labels, spacing=(2.0, 2.0, 2.0))
    prepared = preprocess(make_volume(random_image((1, 8, 8, 8))), plan)
    mask = np.zeros((2, 8, 8, 8), np.uint8)
    mask[0, 2:6] = 1
    mask[1, 4:8] = 255
    found = preprocess_mask(make_volume(mask), labels, prepared)
    np.testing.assert_array_equal(found, resample_mask((mask > 0).astype(np.int8), (4, 4, 4)))
    with pytest.raises(DataError, match=r"^the mask has 1 layers but the labels ask for 2\.$"):
        preprocess_mask(make_volume(mask[:1]), labels, prepared)


def test_pictures_are_prepared_like_volumes(make_plan, make_volume):
    plan = make_plan(spacing=(1.0, 1.0), patch=(8, 8), normalisation=(Normalisation(kind="scale"),))
    prepared = preprocess(make_volume(np.full((1, 9, 7), 51, np.uint8), (1.0, 1.0)), plan)
    np.testing.assert_allclose(prepared.array, np.full((1, 9, 7), 0.2), rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 4, 4, 4)), "the image has 2 channels but the plan is for 1: MRI."),
        (np.zeros((1, 4, 4)), "the image has 2 spatial axes but the plan is for 3."),
        (
            np.array([0, np.nan, np.inf, -np.inf]).reshape(1, 4, 1, 1),
            "the image holds 3 voxels that are NaN or infinite. "
            "Fix: delineate doctor DATA --fix OUT writes a copy without them.",
        ),
    ],
)
def test_an_image_that_does_not_suit_the_plan_is_refused(plan, make_volume, image, message):
    spacing = (1.0,) * (image.ndim - 1)
    with pytest.raises(DataError) as caught:
        preprocess(make_volume(image, spacing), plan)
    assert str(caught.value) == message


def test_a_mask_of_another_shape_is_refused(plan, make_volume):
    prepared = preprocess(make_volume(random_image((1, 4, 4, 4))), plan)
    with pytest.raises(DataError, match=r"^the mask is 4x4x5 but the image is 4x4x4\. Masks must"):
        preprocess_mask(make_volume(np.zeros((1, 4, 4, 5), int)), plan.labels, prepared)


def test_an_unknown_normalisation_is_a_plan_error():
    with pytest.raises(PlanError, match="'minmax' is unknown; known are zscore, ct, scale, none"):
        normalise(np.zeros((1, 2)), (Normalisation(kind="minmax"),))


def test_a_change_of_the_result_goes_with_a_new_version(make_plan, make_volume):
    """Fails when preprocessing gives other numbers: raise PREPROCESSING, then renew this table.

    Without that, caches of the former numbers would go on being used.
    """
    known = {1: ((7, 7, 5), [-0.6202, 1.2440, -0.2070, 0.5273], 75)}
    image = np.zeros((1, 8, 8, 8))
    i, j, k = np.indices((6, 6, 6))
    image[:, 1:7, 1:7, 1:7] = 3 + (5 * i + 3 * j * j + 7 * k * i) % 11
    plan = make_plan(crop_nonzero=True, spacing=(0.9, 0.9, 1.3))
    prepared = preprocess(make_volume(image), plan)
    mask = np.zeros((1, 8, 8, 8), int)
    mask[:, 2:6, 2:6, 2:6] = 1
    found = preprocess_mask(make_volume(mask), plan.labels, prepared)
    shape, values, voxels = known[PREPROCESSING]
    assert prepared.shape == shape
    np.testing.assert_allclose(prepared.array[0, ::2, 3, 2], values, atol=1e-3)
    assert np.count_nonzero(found) == voxels
