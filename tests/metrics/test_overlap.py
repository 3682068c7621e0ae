import math

import numpy as np
import pytest

from delineate.labels import Class, Labels
from delineate.metrics import confusion, score_masks

RNG = np.random.default_rng(0)
TWO = Labels.from_names({"liver": 1, "tumour": 7})


def figures(prediction, truth, labels, spacing=(1.0, 1.0, 1.0)):
    return {r.label: r.values for r in score_masks(prediction, truth, labels, spacing)}


def test_every_figure_equals_the_set_formula():
    prediction, truth = RNG.choice([0, 1, 7], (2, 9, 8, 7))
    found = figures(prediction, truth, TWO, spacing=(0.5, 1.0, 3.0))
    for name, value in (("liver", 1), ("tumour", 7)):
        p, t = prediction == value, truth == value
        both = (p & t).sum()
        assert found[name]["dice"] == pytest.approx(2 * both / (p.sum() + t.sum()))
        assert found[name]["iou"] == pytest.approx(both / (p | t).sum())
        assert found[name]["sensitivity"] == pytest.approx(both / t.sum())
        assert found[name]["precision"] == pytest.approx(both / p.sum())
        assert found[name]["specificity"] == pytest.approx((~p & ~t).sum() / (~t).sum())
        assert found[name]["accuracy"] == pytest.approx((p == t).mean())
        assert found[name]["volume_ml"] == pytest.approx(p.sum() * 1.5 / 1000)
        assert found[name]["true_volume_ml"] == pytest.approx(t.sum() * 1.5 / 1000)


def test_a_class_absent_from_both_scores_one_not_nan():
    empty = np.zeros((4, 4, 4), np.uint8)
    found = figures(empty, empty, TWO)["liver"]
    assert (found["dice"], found["iou"], found["specificity"]) == (1, 1, 1)
    assert math.isnan(found["sensitivity"])
    assert math.isnan(found["precision"])


@pytest.mark.parametrize("swap", [False, True])
def test_a_class_absent_from_one_scores_zero(swap):
    pair = [np.zeros((4, 4, 4), np.uint8), np.ones((4, 4, 4), np.uint8)]
    prediction, truth = reversed(pair) if swap else pair
    found = figures(prediction, truth, TWO)["liver"]
    assert (found["dice"], found["iou"]) == (0, 0)
    assert math.isnan(found["precision"]) is not swap
    assert math.isnan(found["sensitivity"]) is swap


def test_a_parent_is_scored_as_the_union_of_its_children():
    labels = Labels(
        classes=(
            Class(name="whole"),
            Class(name="core", id=1, parent="whole"),
            Class(name="rim", id=2, parent="whole"),
        )
    )
    truth = RNG.integers(0, 3, (6, 6, 6))
    swapped = np.choose(truth, (0, 2, 1))
    found = figures(swapped, truth, labels)
    assert (found["whole"]["dice"], found["core"]["dice"], found["rim"]["dice"]) == (1, 0, 0)


def test_ignored_voxels_are_in_no_count():
    labels = Labels(classes=(Class(name="a", id=1),), ignore=255)
    truth = np.array([[1, 1, 0, 255, 255]])
    one = figures(np.array([[1, 0, 0, 1, 0]]), truth, labels, (1.0, 1.0))["a"]
    other = figures(np.array([[1, 0, 0, 0, 1]]), truth, labels, (1.0, 1.0))["a"]
    assert one == other
    assert one["dice"] == pytest.approx(2 / 3)


def test_a_prediction_of_the_ignore_label_counts_as_background():
    labels = Labels(classes=(Class(name="a", id=1),), ignore=255)
    found = figures(np.array([[255, 1]]), np.array([[1, 1]]), labels, (1.0, 1.0))["a"]
    assert found["sensitivity"] == 0.5


def test_overlapping_masks_are_compared_layer_by_layer_and_as_unions():
    labels = Labels(
        classes=(Class(name="all"), Class(name="a", id=1, parent="all"), Class(name="b", id=2)),
        overlapping=True,
    )
    prediction, truth = RNG.integers(0, 2, (2, 2, 5, 5, 5))
    found = figures(prediction, truth, labels)
    for layer, name in enumerate("ab"):
        p, t = prediction[layer] > 0, truth[layer] > 0
        assert found[name]["dice"] == pytest.approx(2 * (p & t).sum() / (p.sum() + t.sum()))
    assert found["all"] == found["a"]


def test_the_confusion_of_hundreds_of_classes_is_counted_in_one_table():
    prediction, truth = RNG.integers(0, 300, (2, 40, 50))
    matrix = confusion(prediction.astype(np.int16), truth.astype(np.int16), channels=300)
    assert matrix.sum() == truth.size
    assert matrix[5, 9] == np.count_nonzero((truth == 5) & (prediction == 9))


def test_runs_are_counted_across_the_pieces_that_a_scan_is_cut_in():
    truth = np.repeat(np.arange(5, dtype=np.int8), 200_000)
    prediction = np.roll(truth, 70_000)
    matrix = confusion(prediction, truth, channels=5)
    assert matrix.sum() == truth.size
    np.testing.assert_array_equal(matrix.diagonal(), 130_000)
    assert matrix[3, 2] == 70_000


def test_a_leading_axis_of_one_is_accepted_as_files_give_it():
    mask = RNG.choice([0, 1], (1, 4, 4, 4))
    assert figures(mask, mask[0], TWO)["liver"]["dice"] == 1


def test_pictures_have_no_volume():
    mask = np.ones((4, 4), np.uint8)
    assert "volume_ml" not in figures(mask, mask, TWO, (1.0, 1.0))["liver"]


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"the prediction is \(2, 2\), the truth is \(2, 3\)"):
        figures(np.zeros((2, 2), int), np.zeros((2, 3), int), TWO, (1.0, 1.0))
