"""Against the published definitions, written out as loops."""

import numpy as np
import pytest
from scipy import ndimage

from delineate.labels import Labels
from delineate.metrics import Measures, score_masks

RNG = np.random.default_rng(9)
LESION = Labels.from_names({"lesion": 1})


def score(prediction, truth, challenge, spacing=(1.0, 1.0, 1.0)):
    measures = Measures(groups=(), challenge=challenge)
    masks = (mask.astype(np.uint8) for mask in (prediction, truth))
    (row,) = score_masks(*masks, LESION, spacing, measures=measures)
    return row.values


def by_loops(prediction, truth):
    """Dice, lesion-wise F1 and the difference of counts: pieces that share faces, one voxel."""
    total = prediction.sum() + truth.sum()
    dice = 2 * (prediction & truth).sum() / total if total else 1.0
    true, number = ndimage.label(truth)
    ours, predicted = ndimage.label(prediction)
    found = sum(prediction[true == i].any() for i in range(1, number + 1))
    false = sum(not truth[ours == i].any() for i in range(1, predicted + 1))
    whole = found + (number - found + false) / 2
    return dice, found / whole if whole else 1.0, abs(number - predicted)


@pytest.mark.parametrize("trial", range(5))
@pytest.mark.parametrize("challenge", ["atlas", "atlas-published"])
def test_scores_equal_the_published_definitions(challenge, trial):
    prediction, truth = (
        ndimage.gaussian_filter(RNG.normal(size=(15, 14, 13)), 1) > 0.2 for _ in range(2)
    )
    if trial == 0:
        prediction[:] = truth[:] = False
    found = score(prediction, truth, challenge)
    dice, f1, difference = by_loops(prediction, truth)
    assert found["atlas_dice"] == pytest.approx(dice)
    assert found["atlas_lesion_f1"] == pytest.approx(f1)
    assert found["atlas_lesion_count_difference"] == difference


def test_the_published_volume_difference_is_always_zero_and_the_corrected_is_in_mm3():
    prediction, truth = np.zeros((2, 5, 5, 5), bool)
    prediction[:2, 0, 0] = truth[:, 1, 1] = True
    name = "atlas_volume_difference"
    assert score(prediction, truth, "atlas-published")[name] == 0
    assert score(prediction, truth, "atlas")[name] == 3
    assert score(prediction, truth, "atlas", (2.0, 1.0, 1.5))[name] == 9
