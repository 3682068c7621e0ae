"""Soft and generalised Dice against their definitions."""

import pytest
import torch

from delineate.contracts import Output, Target
from delineate.losses import Dice, GeneralisedDice
from delineate.losses.region import _rarity


def by_hand(probs, mask, classes, smooth=1e-5):
    scores = []
    for case in range(len(probs)):
        for k in classes:
            truth = (mask[case] == k).double()
            p = probs[case, k]
            scores.append((2 * (p * truth).sum() + smooth) / (p.sum() + truth.sum() + smooth))
    return 1 - sum(scores) / len(scores)


@pytest.mark.parametrize("background", [False, True])
def test_the_loss_is_the_definition_case_by_case(background):
    logits = torch.randn(3, 4, 5, 2, dtype=torch.double)
    mask = torch.randint(0, 4, (3, 5, 2))
    ours = Dice(background=background)(Output(logits=logits), Target(mask=mask))
    expected = by_hand(logits.softmax(1), mask, range(0 if background else 1, 4))
    torch.testing.assert_close(ours, expected)


def test_over_the_batch_the_sums_are_taken_before_the_ratio():
    logits = torch.randn(3, 2, 5, 2, dtype=torch.double)
    mask = torch.randint(0, 2, (3, 5, 2))
    ours = Dice(batch=True)(Output(logits=logits), Target(mask=mask))
    as_one_case = logits.movedim(1, 0).reshape(1, 2, 15, 2)
    torch.testing.assert_close(ours, by_hand(as_one_case.softmax(1), mask.reshape(1, 15, 2), [1]))


def test_a_class_absent_from_both_scores_one_not_nan():
    logits = torch.zeros(1, 3, 4, 4, dtype=torch.double)
    logits[:, 0] = 100
    empty = torch.zeros(1, 4, 4, dtype=torch.long)
    assert Dice()(Output(logits=logits), Target(mask=empty)).item() == pytest.approx(0, abs=1e-9)


def test_a_false_alarm_on_an_absent_class_costs_that_class():
    logits = torch.zeros(1, 3, 4, 4, dtype=torch.double)
    logits[:, 0] = 100
    logits[:, 1, 0, 0] = 200
    empty = torch.zeros(1, 4, 4, dtype=torch.long)
    assert Dice()(Output(logits=logits), Target(mask=empty)).item() == pytest.approx(0.5, abs=1e-4)


def test_a_shape_mismatch_names_both_shapes():
    with pytest.raises(ValueError) as error:
        Dice()(Output(logits=torch.zeros(1, 3, 4, 4)), Target(mask=torch.zeros(1, 3, 4, 4)))
    assert str(error.value) == (
        "Dice: the mask has shape (1, 3, 4, 4) but logits (1, 3, 4, 4) ask for (1, 4, 4). "
        "Fix: overlapping=True if the masks overlap, or the number of classes."
    )


def generalised_by_hand(probs, mask, classes):
    scores = []
    for case in range(len(probs)):
        truths = [(mask[case] == k).double() for k in classes]
        there = [1 / t.sum() ** 2 for t in truths if t.any()]
        weights = [1 / t.sum() ** 2 if t.any() else max(there) for t in truths]
        weighed = list(zip(weights, truths, (probs[case, k] for k in classes), strict=True))
        common = sum(w * (p * t).sum() for w, t, p in weighed)
        total = sum(w * (p.sum() + t.sum()) for w, t, p in weighed)
        scores.append(2 * common / total)
    return 1 - sum(scores) / len(scores)


@pytest.mark.parametrize("background", [False, True])
def test_generalised_dice_is_the_definition_with_absent_classes_as_the_rarest(background):
    logits = torch.randn(3, 4, 5, 2, dtype=torch.double)
    mask = torch.randint(0, 4, (3, 5, 2))
    mask[0] = mask[0].clamp(max=2)
    mask[0, 0, 0] = 1
    ours = GeneralisedDice(background=background, smooth=0.0)(
        Output(logits=logits), Target(mask=mask)
    )
    expected = generalised_by_hand(logits.softmax(1), mask, range(0 if background else 1, 4))
    torch.testing.assert_close(ours, expected)


def test_generalised_dice_over_the_batch_is_that_of_one_long_case():
    logits = torch.randn(3, 4, 5, 2, dtype=torch.double)
    mask = torch.randint(0, 4, (3, 5, 2))
    ours = GeneralisedDice(batch=True)(Output(logits=logits), Target(mask=mask))
    long = Output(logits=logits.movedim(1, 0).reshape(1, 4, 15, 2))
    torch.testing.assert_close(ours, GeneralisedDice()(long, Target(mask=mask.reshape(1, 15, 2))))


def test_generalised_dice_of_nothing_is_perfect_where_nothing_is_predicted():
    empty = Target(mask=torch.zeros(1, 2, 4, 4))
    term = GeneralisedDice(overlapping=True)
    quiet, loud = (Output(logits=torch.full((1, 2, 4, 4), x)) for x in (-100.0, 100.0))
    assert term(quiet, empty).item() == pytest.approx(0, abs=1e-6)
    assert term(loud, empty).item() == pytest.approx(1, abs=1e-4)


def test_a_rare_class_weighs_more_in_generalised_dice_than_in_volume():
    mask = torch.zeros(1, 10, 10, dtype=torch.long)
    mask[0, 0, 0] = 1
    sure = torch.nn.functional.one_hot(mask, 2).movedim(-1, 1) * 100.0
    missed = torch.stack((sure[:, 0] + 200 * mask, sure[:, 1]), 1)
    term = GeneralisedDice()
    assert term(Output(logits=missed), Target(mask=mask)) > 0.95
    assert term(Output(logits=sure), Target(mask=mask)).item() == pytest.approx(0, abs=1e-6)


def test_a_volume_of_a_billion_voxels_beside_one_has_finite_weights():
    weights = _rarity(torch.tensor([[1.0, 1e9, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(weights, torch.tensor([[0.5, 5e-19, 0.5], [1 / 3] * 3]))
