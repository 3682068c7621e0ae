import math

import numpy as np
import pytest
from scipy import ndimage

from delineate.labels import Class, Labels
from delineate.metrics import Measures, measure_surfaces, score_masks, surface_distances

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
    assert found.hd == pytest.approx(max(to_truth.max(), to_prediction.max()))
    assert found.hd95 == pytest.approx(
        max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95))
    )
    assert found.assd == pytest.approx(both.mean())
    assert found.surface_dice(1.0) == pytest.approx(np.mean(both <= 1.0))
    precision, recall = np.mean(to_truth <= 1.0), np.mean(to_prediction <= 1.0)
    assert found.boundary_f1(1.0) == pytest.approx(2 / (1 / precision + 1 / recall))


SURFACES = pytest.mark.parametrize("surface", ["voxels", "elements"])


@SURFACES
def test_a_shift_by_two_voxels_of_three_mm_is_six_mm(surface):
    truth = np.zeros((20, 30, 30), bool)
    truth[4] = True
    shifted = np.roll(truth, 2, axis=0)
    found = surface_distances(shifted, truth, (3.0, 1.0, 1.0), surface=surface)
    assert found.hd == found.hd95 == 6.0
    # Corners lie on both sides of a slab of one voxel: its near side is 3 mm away.
    assert found.assd == pytest.approx({"voxels": 6.0, "elements": 4.5}[surface])
    assert found.surface_dice(5.9) == pytest.approx({"voxels": 0, "elements": 0.5}[surface])
    assert found.surface_dice(6.0) == found.boundary_f1(6.0) == 1


@SURFACES
def test_structures_far_apart_are_at_their_distance(surface):
    truth, prediction = np.zeros((2, 60, 9, 9), bool)
    truth[2, 4, 4] = prediction[55, 4, 4] = True
    found = surface_distances(prediction, truth, (1.0, 2.0, 2.0), surface=surface)
    assert found.hd == 53


@SURFACES
def test_equal_masks_are_at_distance_zero(surface):
    mask = blob((9, 9, 9))
    found = surface_distances(mask, mask, (1.0, 1.0, 1.0), surface=surface)
    assert (found.hd, found.hd95, found.assd, found.surface_dice(0)) == (0, 0, 0, 1)


def test_a_multiple_of_an_inexact_spacing_lies_on_the_tolerance():
    one, other = np.zeros((2, 40, 1), bool)
    one[3], other[36] = True, True
    assert surface_distances(one, other, (0.7, 1.0)).surface_dice(33 * 0.7) == 1


@SURFACES
def test_empty_in_both_is_no_distance_and_full_agreement(surface):
    empty = np.zeros((4, 4, 4), bool)
    found = surface_distances(empty, empty, (1.0, 1.0, 1.0), surface=surface)
    assert math.isnan(found.hd)
    assert math.isnan(found.hd95)
    assert math.isnan(found.assd)
    assert found.surface_dice(1) == found.boundary_f1(1) == 1


@SURFACES
@pytest.mark.parametrize("missed", [False, True])
def test_empty_in_one_is_the_diagonal_of_the_scan(missed, surface):
    pair = np.zeros((2, 3, 4, 12), bool)
    pair[int(missed), 1, 1, 1] = True
    found = surface_distances(pair[0], pair[1], (1.0, 1.0, 1.0), surface=surface)
    assert found.hd == found.hd95 == found.assd == 13.0
    assert found.surface_dice(100) == found.boundary_f1(100) == 0


def test_the_edge_of_the_scan_is_a_surface():
    full, inner = np.ones((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    inner[1:4, 1:4, 1:4] = True
    found = surface_distances(full, inner, (1.0, 1.0, 1.0))
    assert len(found.to_truth) == 125 - 27
    assert found.hd == pytest.approx(math.sqrt(3))


def test_of_elements_each_weighs_its_area():
    """A bar of two by two voxels beside a far single one: nearly all of the surface agrees."""
    truth = np.zeros((60, 6, 6), bool)
    truth[2:40, 2:4, 2:4] = True
    prediction = truth.copy()
    prediction[58, 3, 3] = True
    found = surface_distances(prediction, truth, (1.0, 1.0, 1.0), surface="elements")
    whole = [weights.sum() for weights in found.weights]
    assert whole[0] - whole[1] == pytest.approx(math.sqrt(3))
    assert found.hd == 19
    assert found.hd95 == 0
    assert found.surface_dice(1) == pytest.approx(1 - math.sqrt(3) / sum(whole))


@SURFACES
def test_classes_unions_and_ignored_voxels_are_measured_inside_their_boxes(surface):
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
    measures = Measures(tolerance_mm=2, surface=surface)
    rows = score_masks(prediction, truth, labels, (1.0, 2.0, 1.5), measures=measures)
    seen = np.where(truth == 9, 0, prediction)
    for row in rows[:3]:
        ids = {"all": (1, 2), "a": (1,), "b": (2,)}[row.label]
        pair = np.isin(seen, ids), np.isin(truth, ids)
        alone = surface_distances(*pair, (1.0, 2.0, 1.5), surface=surface)
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
