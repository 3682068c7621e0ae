"""The documented figures: perfect is 1, the background flatters nobody, spacing counts."""

from math import isnan

import numpy as np
import pytest
import torch
from liver_toys import brute_bf1, brute_dice, brute_iou

from delineate.systems.liver.agreement import measure, summarise
from delineate.systems.liver.metrics import (
    accuracy,
    boundary_f1_score,
    dice_coefficient,
    jaccard_index,
)

SIZES = [(2, 12, 11), (2, 9, 8, 10)]


def logits_of(ids: torch.Tensor, channels: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(ids, channels).movedim(-1, 1).float() * 5


def blobs(size, *, seed: int, classes: int = 3) -> torch.Tensor:
    """Coarse random ids, so that there are surfaces and insides."""
    coarse = (size[0], *(-(-n // 3) for n in size[1:]))
    ids = np.random.default_rng(seed).integers(0, classes, coarse)
    for axis in range(1, len(size)):
        ids = ids.repeat(3, axis)
    return torch.from_numpy(ids[tuple(slice(n) for n in size)].copy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spacing", [None, (0.7, 2.0, 5.0)])
def test_a_perfect_prediction_has_1_in_every_figure(size, spacing):
    truth = blobs(size, seed=1)
    logits = logits_of(truth, 3)
    steps = None if spacing is None else spacing[: len(size) - 1]
    assert boundary_f1_score(logits, truth, spacing=steps) == 1.0
    assert dice_coefficient(logits, truth) == pytest.approx(1.0)
    assert jaccard_index(logits, truth) == pytest.approx(1.0)
    assert accuracy(logits, truth) == 1.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [3, 14])
def test_an_all_background_prediction_has_about_0_whatever_the_channels(size, channels):
    truth = blobs(size, seed=2)
    logits = logits_of(torch.zeros_like(truth), channels)
    assert 0 <= dice_coefficient(logits, truth, num_classes=channels) < 1e-5
    assert 0 <= jaccard_index(logits, truth, num_classes=channels) < 1e-5
    assert boundary_f1_score(logits, truth, num_classes=channels) == 0.0
    assert accuracy(logits, truth) == 0.0


def test_the_background_counts_where_it_is_asked_for():
    truth = torch.tensor([[[0, 0, 0, 1]]])
    logits = logits_of(torch.zeros_like(truth), 2)
    both = dice_coefficient(logits, truth, num_classes=2, include_background=True)
    assert both == pytest.approx((6 / 7 + 0) / 2, abs=1e-5)
    assert accuracy(logits, truth, include_background=True) == 0.75


def test_a_class_in_neither_mask_is_left_out_and_one_in_either_counts():
    truth = torch.tensor([[[0, 1, 1, 0]]])
    logits = logits_of(truth, 4)
    assert dice_coefficient(logits, truth, num_classes=4) == pytest.approx(1.0)
    more = logits_of(torch.tensor([[[0, 1, 1, 3]]]), 4)
    assert dice_coefficient(more, truth, num_classes=4) == pytest.approx(0.5, abs=1e-4)
    nothing = torch.zeros_like(truth)
    assert isnan(dice_coefficient(logits_of(nothing, 4), nothing))


def test_ignored_voxels_are_in_no_figure():
    truth = torch.tensor([[[1, 1, 2, -1, -1, 0]]])
    logits = logits_of(torch.tensor([[[1, 1, 2, 1, 2, 0]]]), 3)
    assert dice_coefficient(logits, truth) == pytest.approx(1.0)
    assert accuracy(logits, truth) == 1.0
    assert boundary_f1_score(logits, truth) == 1.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("background", [False, True])
def test_the_figures_are_those_of_whole_images_of_booleans(size, background):
    spacing, tolerance = (0.8, 1.5, 2.5)[: len(size) - 1], 1.6
    prediction, truth = blobs(size, seed=3), blobs(size, seed=4)
    logits = logits_of(prediction, 3)
    first = 0 if background else 1

    def expected(figure):
        by_class = [
            np.nanmean(
                [
                    figure(p == k, t == k)
                    for p, t in zip(prediction.numpy(), truth.numpy(), strict=True)
                ]
            )
            for k in range(first, 3)
        ]
        return np.mean(by_class)

    how = {"include_background": background}
    assert dice_coefficient(logits, truth, smooth=0, **how) == pytest.approx(expected(brute_dice))
    assert jaccard_index(logits, truth, smooth=0, **how) == pytest.approx(expected(brute_iou))
    found = boundary_f1_score(logits, truth, tolerance=tolerance, spacing=spacing, **how)
    assert found == pytest.approx(
        expected(lambda p, t: brute_bf1(p, t, spacing, tolerance)), abs=1e-9
    )
    known = truth >= first
    share = np.mean(
        [(p == t)[k].double().mean() for p, t, k in zip(prediction, truth, known, strict=True)]
    )
    assert accuracy(logits, truth, **how) == pytest.approx(share)


def test_the_tolerance_is_in_mm_where_the_spacing_is_known():
    truth, moved = torch.zeros(1, 6, 6, dtype=torch.long), torch.zeros(1, 6, 6, dtype=torch.long)
    truth[0, 1:4, 1:4], moved[0, 2:5, 1:4] = 1, 1
    near = boundary_f1_score(logits_of(moved, 2), truth, num_classes=2, spacing=(1.0, 1.0))
    far = boundary_f1_score(logits_of(moved, 2), truth, num_classes=2, spacing=(3.0, 3.0))
    assert near == 1.0
    assert far < 0.7


def test_channels_beyond_num_classes_are_of_no_class():
    truth = torch.tensor([[[1, 1, 2, 2]]])
    logits = logits_of(torch.tensor([[[1, 1, 7, 2]]]), 14)
    expected = (1 + 2 / 3) / 2
    assert dice_coefficient(logits, truth, num_classes=3) == pytest.approx(expected, abs=1e-4)


def test_deep_logits_and_a_channel_axis_of_the_truth_are_taken():
    truth = blobs((2, 8, 8), seed=5)
    fine = logits_of(truth, 3)
    coarse = fine[:, :, ::2, ::2]
    assert dice_coefficient([fine, coarse], truth[:, None]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="ask for ids of"):
        dice_coefficient(fine, truth[:, :4])


def test_a_mean_is_per_class_over_the_cases_that_have_it():
    truth = np.array([[1, 1, 0, 0], [1, 2, 0, 0]])
    found = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    cases = [measure(f, t, classes=3) for f, t in zip(found, truth, strict=True)]
    figures = summarise(cases, ("liver", "tumor"))
    assert figures["dice/liver"] == 1.0
    assert figures["dice/tumor"] == 0.0
    assert figures["dice"] == 0.5
    assert isnan(figures["bf1"])
    assert isnan(cases[0].dice[1])
    assert isnan(summarise([], ("liver",))["dice"])
