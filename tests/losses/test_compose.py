"""Weighted sums, deep supervision and losses from elsewhere."""

import pytest
import torch
from torch import nn

from delineate.contracts import Output, Target
from delineate.losses import CrossEntropy, Dice, WeightedSum, as_term


def test_each_term_comes_back_weighted_under_its_name():
    output = Output(logits=torch.randn(1, 2, 4, 4))
    target = Target(mask=torch.randint(0, 2, (1, 4, 4)))
    dice, entropy = Dice(), CrossEntropy()
    loss = WeightedSum({"dice": dice, "entropy": entropy}, {"dice": 2.0, "entropy": 0.5})
    assert loss(output, target) == {
        "dice": 2.0 * dice(output, target),
        "entropy": 0.5 * entropy(output, target),
    }


@pytest.mark.parametrize("overlapping", [False, True])
def test_deep_supervision_halves_the_weight_at_each_coarser_resolution(overlapping):
    logits = [torch.randn(1, 2, s, 2 * s) for s in (8, 4, 2)]
    mask = torch.randint(0, 2, (1, 8, 16))
    if overlapping:
        mask = torch.stack((mask, 1 - mask), 1).float()
    term = CrossEntropy(overlapping=overlapping)
    found = WeightedSum({"x": term}, {"x": 3.0})(
        Output(logits=logits[0], deep=tuple(logits[1:])), Target(mask=mask)
    )["x"]
    parts = [
        term(Output(logits=part), Target(mask=mask[..., :: 2**i, :: 2**i]))
        for i, part in enumerate(logits)
    ]
    torch.testing.assert_close(found, 3 * (4 * parts[0] + 2 * parts[1] + parts[2]) / 7)


def test_deep_logits_at_an_odd_fraction_are_refused():
    output = Output(logits=torch.zeros(1, 2, 8, 8), deep=(torch.zeros(1, 2, 3, 4),))
    with pytest.raises(ValueError) as error:
        WeightedSum({"x": Dice()}, {"x": 1.0})(output, Target(mask=torch.zeros(1, 8, 8).long()))
    assert str(error.value) == (
        "deep supervision: the mask of (8, 8) voxels is no multiple of the deep logits' (3, 4). "
        "Fix: return deep logits at whole fractions of the resolution."
    )


def test_names_of_terms_and_weights_must_agree():
    with pytest.raises(ValueError) as error:
        WeightedSum({"dice": Dice()}, {"dise": 1.0})
    assert str(error.value) == (
        "WeightedSum: the terms are ['dice'] but the weights are for ['dise']. "
        "Fix: at least one term, and one weight for each."
    )


def test_a_torch_loss_module_is_a_term():
    output = Output(logits=torch.randn(1, 2, 4, 4))
    mask = torch.randint(0, 2, (1, 4, 4), dtype=torch.int8)
    term = as_term(nn.CrossEntropyLoss())
    torch.testing.assert_close(
        term(output, Target(mask=mask)), CrossEntropy()(output, Target(mask=mask))
    )


def test_a_term_passes_through():
    term = Dice()
    assert as_term(term) is term


def test_a_torch_loss_without_a_mask_is_refused():
    with pytest.raises(ValueError) as error:
        as_term(nn.MSELoss())(Output(logits=torch.zeros(1, 1, 2, 2)), Target(mask=None))
    assert str(error.value) == (
        "MSELoss compares logits with a mask; this batch has no mask. "
        "Fix: use a term for image-level tasks."
    )
