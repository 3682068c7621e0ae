import math

import numpy as np
import pytest

from delineate.errors import ConfigError
from delineate.labels import Labels
from delineate.metrics import LesionRule, Measures, score_masks, surface_distances

LABELS = Labels.from_names({"a": 1, "b": 2})
RNG = np.random.default_rng(11)
PAIR = RNG.integers(0, 3, (2, 8, 7, 6)).astype(np.uint8)


def columns(**measures):
    rows = score_masks(*PAIR, LABELS, (1.0, 1.0, 2.0), measures=Measures(**measures))
    return tuple(rows[0].values)


def test_overlap_volumes_and_surfaces_are_taken_unless_told_otherwise():
    assert columns() == (
        "dice", "iou", "sensitivity", "precision", "specificity", "accuracy",
        "volume_ml", "true_volume_ml", "volume_difference_ml", "relative_volume_difference",
        "hd_mm", "hd95_mm", "assd_mm",
    )  # fmt: skip


def test_each_group_brings_its_columns():
    assert columns(groups=("lesions",), lesions=LesionRule(connectivity=6)) == (
        "lesion_f1", "lesion_precision", "lesion_recall", "lesions", "true_lesions",
        "false_lesions", "lesion_count_difference",
    )  # fmt: skip
    assert columns(groups=("presence",)) == (
        "present_voxels", "truly_present", "presence_accuracy",
    )  # fmt: skip
    assert columns(groups=(), challenge="atlas") == (
        "atlas_dice", "atlas_lesion_f1", "atlas_lesion_count_difference",
        "atlas_volume_difference",
    )  # fmt: skip


def test_a_tolerance_is_in_the_name_of_its_columns():
    names = columns(groups=("surface",), tolerance_mm=1.5)
    assert names[-2:] == ("surface_dice_1.5mm", "boundary_f1_1.5mm")


def test_each_class_may_have_its_own_tolerance():
    measures = Measures(groups=("surface",), tolerance_mm={"a": 1.0, "b": 2.5})
    for row, number, mm in zip(
        score_masks(*PAIR, LABELS, (1.0, 1.0, 2.0), measures=measures),
        (1, 2),
        (1, 2.5),
        strict=True,
    ):
        alone = surface_distances(PAIR[0] == number, PAIR[1] == number, (1.0, 1.0, 2.0))
        assert row.values["surface_dice"] == alone.surface_dice(mm)
        assert row.values["boundary_f1"] == alone.boundary_f1(mm)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (
            {"groups": ("overlap", "surfaces")},
            "metrics: unknown 'surfaces'. There are overlap, vol",
        ),
        ({"surface": "mesh"}, "surface: unknown 'mesh'. There are voxels, elements"),
        ({"challenge": "brats"}, "challenge: unknown 'brats'. There are atlas, atlas-published"),
        ({"tolerance_mm": -1}, "metrics: the tolerance -1 mm is below 0"),
        ({"tolerance_mm": {"a": 1, "b": -2}}, "metrics: the tolerance -2 mm is below 0"),
        ({"groups": ("overlap",), "tolerance_mm": 1}, "a tolerance is for the surface. Fix: add"),
    ],
)
def test_what_cannot_be_measured_is_refused(measures, message):
    with pytest.raises(ConfigError, match=message):
        Measures(**measures)


def test_a_tolerance_for_a_class_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"tolerance: unknown 'c'\. There are a, b"):
        columns(tolerance_mm={"c": 1.0})


def test_volumes_differ_in_ml_and_relative_to_the_truth():
    prediction, truth = np.zeros((2, 10, 10, 10), np.uint8)
    prediction[:3] = truth[:2] = 1
    prediction[9, 9, 9] = 2
    measures = Measures(groups=("volume",))
    one, other = score_masks(prediction, truth, LABELS, (1.0, 2.0, 0.5), measures=measures)
    assert one.values["volume_difference_ml"] == pytest.approx(0.1)
    assert one.values["relative_volume_difference"] == 0.5
    assert math.isnan(other.values["relative_volume_difference"])
    nothing = score_masks(truth, truth, LABELS, (1.0, 2.0, 0.5), measures=measures)[1]
    assert nothing.values["relative_volume_difference"] == 0
