from math import inf

import pytest

from delineate.metrics import bounds, direction
from delineate.metrics.direction import difference_bounds


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("dice", "higher"),
        ("iou", "higher"),
        ("sensitivity", "higher"),
        ("surface_dice_2mm", "higher"),
        ("boundary_f1_1mm", "higher"),
        ("lesion_f1", "higher"),
        ("presence_auc", "higher"),
        ("hd95_mm", "lower"),
        ("assd_mm", "lower"),
        ("volume_difference_ml", "lower"),
        ("absolute_volume_difference", "lower"),
        ("lesion_count_difference", "lower"),
        ("ece", "lower"),
        ("brier", "lower"),
        ("violations", "lower"),
        ("volume_ml", "neither"),
        ("true_volume_ml", "neither"),
        ("true_lesions", "neither"),
        ("lesion_count", "neither"),
        ("false_lesions", "lower"),
        ("lesions", "neither"),
        ("truly_present", "neither"),
        ("present_voxels", "neither"),
        ("presence_accuracy", "higher"),
    ],
)
def test_the_name_of_a_column_says_which_way_is_better(metric, wanted):
    assert direction(metric) == wanted


def test_shares_lie_between_0_and_1_and_distances_above_0():
    assert bounds("dice") == bounds("surface_dice_2mm") == bounds("ece") == (0, 1)
    assert bounds("hd95_mm") == bounds("true_volume_ml") == (0, inf)
    assert bounds("my_figure") == (-inf, inf)
    assert difference_bounds("dice") == (-1, 1)
    assert difference_bounds("hd95_mm") == (-inf, inf)
