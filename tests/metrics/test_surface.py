import math

import numpy as np
import pytest
from scipy import ndimage

from delineate.labels import Class, Labels
from delineate.metrics import measure_surfaces, score_masks, surface_distances

RNG = np.random.default_rng(1)


def brute_force(prediction, truth, spacing):
    """All distances between all pairs of surface voxels."""

    def surface(mask):
        cross = ndimage.generate_binary_structure(mask.ndim, 1)
        return np.argwhere(mask > ndimage.binary_erosion(mask, cross)) * spacing

    p, t = surface(prediction), surface(truth)
    table = np.linalg.norm(p[:, None] - t[None], axis=-1)
    return table.min(1), table.min(0)


def blob(shape):
    return ndimage.gaussian_filter(RNG.normal(size=shape), 1.2) > 0.12


@pytest.mark.parametrize("shape", [(11, 13, 9), (17, 14)])
@pytest.mark.parametrize("trial", range(4))
def test_distances_equal_brute_force(shape, trial):
    spacing = (0.7, 1.0, 3.0)[: len(shape)]
    prediction, truth = blob(shape), blob(shape)
    found = surface_distances(prediction, truth, spacing)
    to_truth, to_prediction = brute_force(prediction, truth, spacing)
    np.testing.assert_allclose(np.sort(found.to_truth), np.sort(to_truth), atol=1e-9)
    np.testing.assert_allclose(np.sort(found.to_prediction), np.sort(to_prediction), atol=1e-9)
    both = np.concatenate((to_truth, to_prediction))
    assert found.hd95 == pytest.approx(
        max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95))
    )
    assert found.assd == pytest.approx(both.mean())
    assert found.surface_dice(1.0) == pytest.approx(np.mean(both <= 1.0))


def test_a_shift_by_two_voxels_of_three_mm_is_six_mm():
    truth = np.zeros((20, 5, 5), bool)
    truth[4] = True
    found = surface_distances(np.roll(truth, 2, axis=0), truth, (3.0, 1.0, 1.0))
    assert found.hd95 == found.assd == 6.0
    assert (found.surface_dice(5.9), found.surface_dice(6.0)) == (0, 1)


def test_equal_masks_are_at_distance_zero():
    mask = blob((9, 9, 9))
    found = surface_distances(mask, mask, (1.0, 1.0, 1.0))
    assert (found.hd95, found.assd, found.surface_dice(0)) == (0, 0, 1)


def test_a_multiple_of_an_inexact_spacing_lies_on_the_tolerance():
    one, other = np.zeros((2, 40, 1), bool)
    one[3], other[36] = True, True
    assert surface_distances(one, other, (0.7, 1.0)).surface_dice(33 * 0.7) == 1


def test_empty_in_both_is_no_distance_and_full_surface_dice():
    empty = np.zeros((4, 4, 4), bool)
    found = surface_distances(empty, empty, (1.0, 1.0, 1.0))
    assert math.isnan(found.hd95)
    assert math.isnan(found.assd)
    assert found.surface_dice(1) == 1


@pytest.mark.parametrize("missed", [False, True])
def test_empty_in_one_is_the_diagonal_of_the_scan(missed):
    pair = np.zeros((2, 3, 4, 12), bool)
    pair[int(missed), 1, 1, 1] = True
    found = surface_distances(pair[0], pair[1], (1.0, 1.0, 1.0))
    assert found.hd95 == found.assd == 13.0
    assert found.surface_dice(100) == 0


def test_classes_unions_and_ignored_voxels_are_measured_inside_their_boxes():
    labels = Labels(
        classes=(
            Class(name="all"),
            Class(name="a", id=1, parent="all"),
            Class(name="b", id=2, parent="all"),
            Class(name="c", id=3),
        ),
        ignore=9,
    )
    prediction, truth = (RNG.integers(0, 3, (2, 8, 9, 7)) * blob((8, 9, 7))).astype(np.uint8)
    truth[0, 0] = 9
    rows = score_masks(prediction, truth, labels, (1.0, 2.0, 1.5), tolerance_mm=2)
    seen = np.where(truth == 9, 0, prediction)
    for row in rows[:3]:
        ids = {"all": (1, 2), "a": (1,), "b": (2,)}[row.label]
        alone = surface_distances(np.isin(seen, ids), np.isin(truth, ids), (1.0, 2.0, 1.5))
        assert row.values["hd95_mm"] == pytest.approx(alone.hd95)
        assert row.values["assd_mm"] == pytest.approx(alone.assd)
        assert row.values["surface_dice_2mm"] == pytest.approx(alone.surface_dice(2))
    assert math.isnan(rows[3].values["hd95_mm"])


def test_overlapping_masks_are_measured_layer_by_layer():
    labels = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
    prediction, truth = np.stack([blob((8, 8)), blob((8, 8))]), np.stack([blob((8, 8))] * 2)
    found = measure_surfaces(prediction, truth, labels, (1.0, 1.0))
    alone = surface_distances(prediction[1], truth[1], (1.0, 1.0))
    assert found["b"].assd == alone.assd
