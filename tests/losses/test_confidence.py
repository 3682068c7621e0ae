"""What a network says of its own answers, compared with how right they are."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import Confidence


def answered():
    """One case: half of the first mask found, a false alarm, an absence, a structure overlooked."""
    mask = torch.zeros(1, 4, 2, 4)
    mask[0, 0], mask[0, 3] = 1, 1
    logits = torch.full((1, 4, 2, 4), -1.0)
    logits[0, 0, 0], logits[0, 1], logits[0, 2, 0], logits[0, 3] = 1, 1, 1, 1
    presence = torch.tensor([[2.0, 1.0, -1.0, -3.0]])
    # Dice of 4 voxels of 8; presence wrong; absent and found so; presence wrong.
    return logits, mask, presence, torch.tensor([[2 * 4 / 12, 0.0, 1.0, 0.0]])


def loss(logits, mask, presence, sure, *, declared=None, overlapping=True):
    output = Output(logits=logits, presence=presence, extra={"confidence_scores": sure})
    return Confidence(overlapping=overlapping)(output, Target(mask=mask, presence=declared))


def penalty(presence):
    """Of the two wrong answers among four."""
    return ((presence.sigmoid() - 0.5) ** 2 * torch.tensor([0.0, 1.0, 0.0, 1.0])).sum() / 4


def test_the_right_confidence_leaves_the_penalty_of_wrong_presence_alone():
    logits, mask, presence, right = answered()
    torch.testing.assert_close(loss(logits, mask, presence, right), penalty(presence))


def test_another_confidence_costs_the_divergence_from_the_right_one():
    logits, mask, presence, right = answered()
    sure = torch.tensor([[0.9, 0.3, 0.6, 0.2]])
    entropy = F.binary_cross_entropy(right, right)
    expected = penalty(presence) + F.binary_cross_entropy(sure, right) - entropy
    torch.testing.assert_close(loss(logits, mask, presence, sure), expected)


def test_it_trains_the_confidence_and_the_presence_and_not_the_masks():
    logits, mask, presence, _ = answered()
    inputs = [t.requires_grad_() for t in (logits, presence, torch.full((1, 4), 0.5))]
    loss(inputs[0], mask, inputs[1], inputs[2]).backward()
    assert logits.grad is None
    assert presence.grad[0].ne(0).tolist() == [False, True, False, True]
    # A step against the slope brings each nearer to how right the answer is.
    assert inputs[2].grad[0].sign().tolist() == [-1, 1, -1, 1]


def test_what_is_unknown_does_not_count_and_a_declaration_outweighs_the_mask():
    logits, mask, presence, _ = answered()
    sure = torch.tensor([[0.9, 0.3, 0.6, 0.2]])
    declared = torch.tensor([[-1, -1, 1, -1]])  # present outside of the patch, and denied
    found = loss(logits, mask, presence, sure, declared=declared)
    expected = (presence[0, 2].sigmoid() - 0.5) ** 2 - torch.log(1 - sure[0, 2])
    torch.testing.assert_close(found, expected)


def test_among_exclusive_classes_the_answer_is_the_likeliest_and_the_background_does_not_count():
    mask = torch.tensor([[[1, 1, 2, 0]]])
    logits = F.one_hot(torch.tensor([[[1, 0, 2, 2]]]), 3).movedim(-1, 1).float()
    presence, right = torch.full((1, 2), 9.0), torch.tensor([[2 / 3, 2 / 3]])
    found = loss(logits, mask, presence, right, overlapping=False)
    assert found.item() == pytest.approx(0, abs=1e-6)


def test_a_network_that_does_not_say_is_refused():
    logits, mask, presence, _ = answered()
    for output, lacking in (
        (Output(logits=logits), "presence"),
        (Output(logits=logits, presence=presence), "extra['confidence_scores']"),
    ):
        with pytest.raises(ValueError) as error:
            Confidence(overlapping=True)(output, Target(mask=mask))
        assert str(error.value) == (
            f"Confidence: the network returned no {lacking}. Fix: take one that says what is "
            "present and how sure it is, such as SADAAN, or leave this term out."
        )


def test_columns_that_do_not_fit_each_other_are_refused():
    logits, mask, presence, right = answered()
    with pytest.raises(ValueError) as error:
        loss(logits, mask, presence[:, :3], right)
    assert str(error.value) == (
        "Confidence: what is present has the shape (1, 4), the answer (1, 3) and the confidence "
        "(1, 4). Fix: one column for each structure."
    )
