import math
from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from delineate.errors import ConfigError
from delineate.labels import Class, Labels
from delineate.metrics import LesionRule, count_lesions, measure_lesions

RNG = np.random.default_rng(7)
SPACING = (1.0, 1.0, 1.0)


def lesions(prediction, truth, spacing=None, **rule):
    truth = np.asarray(truth, bool)
    spacing = spacing or (1.0,) * truth.ndim
    return count_lesions(np.asarray(prediction, bool), truth, spacing, LesionRule(**rule))


def row(*runs):
    """A line of voxels in a picture, from lengths of background and lesion in turn."""
    line = np.concatenate([np.full(n, i % 2, bool) for i, n in enumerate(runs)])
    return line[None]


def test_found_missed_and_false_lesions_are_counted():
    truth = row(1, 4, 2, 4, 2, 0, 10)
    prediction = row(3, 2, 9, 3, 6)
    found = lesions(prediction, truth)
    assert (found.true, found.predicted, found.found, found.right) == (2, 2, 1, 1)
    assert (found.recall, found.precision, found.f1) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("connectivity", "number"), [(6, 4), (18, 2), (26, 1)])
def test_connectivity_says_which_voxels_hang_together(connectivity, number):
    """A voxel, its face neighbour's edge neighbour, and a corner neighbour."""
    mask = np.zeros((6, 6, 6), bool)
    for place in ((0, 0, 0), (0, 1, 1), (1, 2, 2), (1, 3, 3)):
        mask[place] = True
    assert lesions(mask, mask, connectivity=connectivity).true == number


@pytest.mark.parametrize(("connectivity", "number"), [(4, 2), (6, 2), (8, 1), (18, 1), (26, 1)])
def test_pictures_know_four_and_eight_neighbours(connectivity, number):
    assert lesions(np.eye(2), np.eye(2), connectivity=connectivity).true == number


def test_volumes_do_not_know_the_neighbours_of_pictures():
    with pytest.raises(ConfigError, match=r"connectivity 8 is for pictures; volumes have \[6, 18"):
        lesions(np.ones((2, 2, 2)), np.ones((2, 2, 2)), connectivity=8)


def test_one_voxel_is_enough_unless_a_share_is_asked_for():
    truth, prediction = row(0, 10, 2), row(9, 3)
    assert lesions(prediction, truth).found == 1
    assert lesions(prediction, truth, least=0.1).found == 1
    found = lesions(prediction, truth, least=0.11)
    assert (found.found, found.right) == (0, 1)
    assert lesions(prediction, truth, least=0.34).right == 0


def test_a_share_may_come_from_several_pieces():
    truth, prediction = row(0, 10), row(0, 4, 2, 4)
    assert lesions(prediction, truth, least=0.8).found == 1
    assert lesions(prediction, truth, least=0.8, one_to_one=True).found == 0


def test_iou_is_of_each_pair():
    truth, prediction = row(0, 10), row(0, 4, 2, 4)
    assert lesions(prediction, truth, overlap="iou", least=0.4).right == 2
    assert lesions(prediction, truth, overlap="iou", least=0.41).found == 0


def test_one_large_piece_finds_many_unless_paired():
    truth, prediction = row(1, 2, 1, 2, 1, 2, 1), row(1, 8, 1)
    many, paired = lesions(prediction, truth), lesions(prediction, truth, one_to_one=True)
    assert (many.found, many.right, many.f1) == (3, 1, 1)
    assert (paired.found, paired.right, paired.f1) == (1, 1, 0.5)


def test_pairing_finds_the_largest_number_of_pairs():
    """The middle piece must leave the first lesion to the first piece."""
    truth, prediction = row(1, 5, 1, 3), row(0, 2, 2, 4, 2)
    assert lesions(prediction, truth, one_to_one=True).found == 2


def test_small_pieces_are_left_out_of_both_masks():
    truth, prediction = row(1, 1, 2, 3, 1), row(1, 1, 2, 2, 2)
    found = lesions(prediction, truth, spacing=(2.0, 3.0), smallest_mm3=12)
    assert (found.true, found.predicted, found.found) == (1, 1, 1)
    assert lesions(prediction, truth, spacing=(2.0, 3.0), smallest_mm3=12.1).predicted == 0


@pytest.mark.parametrize(("one", "other"), list(product((False, True), repeat=2)))
def test_empty_masks(one, other):
    masks = [np.full((3, 3, 3), full) for full in (one, other)]
    found = lesions(*masks)
    assert found.f1 == (1 if one == other else 0)
    assert math.isnan(found.precision) is not one
    assert math.isnan(found.recall) is not other


@pytest.mark.parametrize("trial", range(6))
def test_counts_equal_a_loop_over_the_lesions(trial):
    prediction, truth = (
        ndimage.gaussian_filter(RNG.normal(size=(14, 13, 9)), 1) > 0.15 for _ in range(2)
    )
    found = lesions(prediction, truth, connectivity=6, least=0.3)
    ours, number = ndimage.label(prediction)
    true, true_number = ndimage.label(truth)
    assert found.found == sum(
        prediction[true == i].mean() >= 0.3 for i in range(1, true_number + 1)
    )
    assert found.right == sum(truth[ours == i].mean() >= 0.3 for i in range(1, number + 1))
    paired = lesions(prediction, truth, connectivity=6, overlap="iou", least=0.2, one_to_one=True)
    iou = [
        ((ours == i) & (true == j)).sum() / ((ours == i) | (true == j)).sum() >= 0.2
        for i in range(1, number + 1)
        for j in range(1, true_number + 1)
    ]
    assert paired.found <= sum(iou)


def test_every_class_is_counted_in_its_own_box():
    labels = Labels(
        classes=(Class(name="any"), Class(name="a", id=1, parent="any"), Class(name="b", id=2))
    )
    prediction, truth = RNG.integers(0, 3, (2, 9, 9, 9))
    found = measure_lesions(prediction, truth, labels, SPACING, LesionRule(connectivity=6))
    for name, number in (("any", 1), ("a", 1), ("b", 2)):
        alone = lesions(prediction == number, truth == number, connectivity=6)
        assert found[name] == alone


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"connectivity": 7}, r"connectivity 7 is none of \[4, 8, 6, 18, 26\]"),
        ({"overlap": "dice"}, "the overlap 'dice' is neither share nor iou"),
        ({"least": 2}, r"the least overlap is 2, not in 0\.\.1"),
        ({"smallest_mm3": -1}, "the smallest size is -1, below 0"),
    ],
)
def test_rules_that_cannot_be_are_refused(rule, message):
    with pytest.raises(ConfigError, match=message):
        LesionRule(**rule)
