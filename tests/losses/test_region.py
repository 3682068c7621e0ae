"""Soft Dice against its definition."""

import pytest
import torch

from delineate.contracts import Output, Target
from delineate.losses import Dice


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
