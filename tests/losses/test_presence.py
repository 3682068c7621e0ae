"""Image-level answers, false alarms on absent structures, Dice of those that are there."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import AbsenceSuppression, Dice, Presence, PresentDice


def test_presence_is_binary_cross_entropy_of_what_is_known():
    logits = torch.randn(4, 3)
    truth = torch.randint(0, 2, (4, 3)).float()
    output = Output(logits=None, presence=logits)
    found = Presence()(output, Target(mask=None, presence=truth))
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits, truth))
    truth[1:] = -1
    found = Presence()(output, Target(mask=None, presence=truth))
    alone = F.binary_cross_entropy_with_logits(logits[:1], truth[:1])
    torch.testing.assert_close(found, alone)


def test_presence_of_class_ids_is_cross_entropy():
    logits = torch.randn(4, 3)
    ids = torch.tensor([2, 0, -1, 1])
    found = Presence()(Output(logits=None, presence=logits), Target(mask=None, presence=ids))
    torch.testing.assert_close(found, F.cross_entropy(logits, ids, ignore_index=-1))


def test_presence_asks_for_both_sides():
    for output, target, missing in (
        (Output(logits=None), Target(mask=None, presence=torch.ones(1, 2)), "output.presence"),
        (Output(logits=None, presence=torch.ones(1, 2)), Target(mask=None), "target.presence"),
    ):
        with pytest.raises(ValueError) as error:
            Presence()(output, target)
        assert str(error.value) == (
            f"Presence: {missing} is None. Fix: take a network with an image-level head and cases "
            "that declare what is present, or leave this term out."
        )


def test_presence_of_another_width_is_refused():
    with pytest.raises(ValueError) as error:
        Presence()(
            Output(logits=None, presence=torch.ones(1, 2)),
            Target(mask=None, presence=torch.ones(1, 3)),
        )
    assert str(error.value) == (
        "Presence: the target has shape (1, 3) but the logits (1, 2). "
        "Fix: one image-level output per declared structure."
    )


def overlapping_case():
    """Two cases of three structures: the first lacks the second, the other has only the third."""
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    mask = torch.zeros(2, 3, 4, 5, dtype=torch.double)
    mask[0, 0, :2], mask[0, 2, 2:], mask[1, 2, 1] = 1, 1, 1
    return Output(logits=logits), Target(mask=mask)


def test_absence_is_the_mean_probability_of_what_the_mask_does_not_show():
    output, target = overlapping_case()
    p = output.logits.sigmoid().mean((2, 3))
    found = AbsenceSuppression(overlapping=True)(output, target)
    torch.testing.assert_close(found, torch.stack((p[0, 1], p[1, 0], p[1, 1])).mean())


def test_what_is_declared_present_or_unknown_is_not_suppressed_outside_the_patch():
    output, target = overlapping_case()
    declared = Target(mask=target.mask, presence=torch.tensor([[1, 0, 1], [1, -1, 1]]))
    p = output.logits.sigmoid().mean((2, 3))
    torch.testing.assert_close(AbsenceSuppression(overlapping=True)(output, declared), p[0, 1])


def test_among_exclusive_classes_the_background_is_never_suppressed():
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    mask = torch.full((2, 4, 5), 2)
    mask[0, 0] = 1
    mask[1, :, 0] = -1
    target = Target(mask=mask, presence=torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    expected = logits.softmax(1)[1, 1, :, 1:].mean()
    torch.testing.assert_close(AbsenceSuppression()(Output(logits=logits), target), expected)


def test_where_everything_is_present_nothing_is_suppressed():
    output = Output(logits=torch.randn(1, 2, 3, 3))
    target = Target(mask=torch.ones(1, 3, 3).long(), presence=torch.ones(1, 1))
    assert AbsenceSuppression()(output, target) == 0


def test_a_class_id_of_the_image_says_nothing_about_structures():
    output, target = overlapping_case()
    graded = Target(mask=target.mask, presence=torch.tensor([1, 2]))
    term = AbsenceSuppression(overlapping=True)
    torch.testing.assert_close(term(output, graded), term(output, target))


def test_columns_that_do_not_fit_the_structures_are_refused():
    output = Output(logits=torch.zeros(1, 3, 2, 2))
    target = Target(mask=torch.zeros(1, 2, 2).long(), presence=torch.ones(1, 3))
    with pytest.raises(ValueError) as error:
        AbsenceSuppression()(output, target)
    assert str(error.value) == (
        "AbsenceSuppression: target.presence has shape (1, 3) but there are 2 structures in a "
        "batch of 1. Fix: declare every output channel but the background."
    )


def test_dice_of_the_present_is_the_mean_over_those_alone():
    output, target = overlapping_case()
    parts = [
        Dice(overlapping=True)(
            Output(logits=output.logits[case, None, [k]]), Target(mask=target.mask[case, None, [k]])
        )
        for case, k in ((0, 0), (0, 2), (1, 2))
    ]
    found = PresentDice(overlapping=True)(output, target)
    torch.testing.assert_close(found, torch.stack(parts).mean())
