"""Weighted sums, deep supervision and losses from elsewhere."""

import pytest
import torch
from torch import nn

from delineate.contracts import Output, Target
from delineate.losses import Boundary, CrossEntropy, Dice, Presence, Ramp, WeightedSum, as_term


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


def test_deep_logits_of_sizes_rounded_up_are_compared_with_every_second_or_fourth_voxel():
    mask, logits = torch.randint(0, 2, (1, 10, 7)), torch.randn(1, 2, 10, 7)
    deep = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 3, 2)
    term = CrossEntropy()
    found = WeightedSum({"x": term}, {"x": 1.0})(
        Output(logits=logits, deep=deep), Target(mask=mask)
    )["x"]
    parts = [
        term(Output(logits=part), Target(mask=mask[:, ::step, ::step]))
        for part, step in zip((logits, *deep), (1, 2, 4), strict=True)
    ]
    torch.testing.assert_close(found, (4 * parts[0] + 2 * parts[1] + parts[2]) / 7)


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


def test_a_weight_may_follow_the_progress_of_the_run():
    output = Output(logits=torch.randn(1, 2, 4, 4))
    target = Target(mask=torch.randint(0, 2, (1, 4, 4)))
    terms = {"dice": Dice(), "entropy": CrossEntropy()}
    weights = {"dice": Ramp(start=0.0, end=4.0), "entropy": lambda progress: 1 - progress}
    loss = WeightedSum(terms, weights)
    found = loss(output, target, progress=0.25)
    assert found["dice"] == 1.0 * terms["dice"](output, target)
    assert found["entropy"] == 0.75 * terms["entropy"](output, target)
    assert loss(output, target)["dice"] == 0


def test_an_image_level_term_is_evaluated_once_beside_deep_supervision():
    calls = []

    class Counted(Presence):
        def __call__(self, output, target):
            calls.append(output)
            return super().__call__(output, target)

    output = Output(
        logits=torch.randn(2, 2, 4, 4),
        deep=(torch.randn(2, 2, 2, 2),),
        presence=torch.randn(2, 2),
    )
    target = Target(mask=torch.randint(0, 2, (2, 4, 4)), presence=torch.ones(2, 2))
    loss = WeightedSum({"presence": Counted(), "dice": Dice()}, {"presence": 1.0, "dice": 1.0})
    torch.testing.assert_close(loss(output, target)["presence"], Presence()(output, target))
    assert len(calls) == 1


def test_a_sum_needs_distance_where_a_term_does():
    assert WeightedSum({"b": Boundary(), "d": Dice()}, {"b": 1.0, "d": 1.0}).needs_distance
    assert not WeightedSum({"d": Dice()}, {"d": 1.0}).needs_distance


class Squared(nn.Module):
    """A loss whose arithmetic autocast would round: a product of matrices."""

    def forward(self, logits, mask):
        assert logits.dtype == torch.float32
        flat = logits.flatten(1)
        return (flat @ flat.T).mean()


def test_a_module_from_elsewhere_runs_in_float32_inside_autocast():
    half = torch.randn(2, 2, 4, 4).to(torch.bfloat16)
    target = Target(mask=torch.zeros(2, 4, 4).long())
    exact = Squared()(half.float(), target.mask)
    term = as_term(Squared())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        alone = term(Output(logits=half), target)
        summed = WeightedSum({"x": term}, {"x": 1.0})(Output(logits=half), target)["x"]
    assert alone.dtype == summed.dtype == torch.float32
    torch.testing.assert_close(alone, exact, rtol=0, atol=0)
    torch.testing.assert_close(summed, exact, rtol=0, atol=0)


def test_a_function_of_ones_own_runs_in_float32_inside_autocast():
    def product(output, target):
        return Squared()(output.logits, target.mask)

    half = torch.randn(2, 2, 4, 4).to(torch.bfloat16)
    loss = WeightedSum({"x": product}, {"x": 1.0})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(Output(logits=half), Target(mask=torch.zeros(2, 4, 4).long()))["x"]
    torch.testing.assert_close(found, Squared()(half.float(), None), rtol=0, atol=0)


def test_the_deep_logits_of_half_precision_are_compared_in_float32():
    output = Output(
        logits=torch.randn(1, 2, 4, 4).to(torch.bfloat16),
        deep=(torch.randn(1, 2, 2, 2).to(torch.bfloat16),),
    )
    loss = WeightedSum({"x": as_term(nn.CrossEntropyLoss())}, {"x": 1.0})
    found = loss(output, Target(mask=torch.randint(0, 2, (1, 4, 4))))["x"]
    assert found.dtype == torch.float32


def test_ids_get_a_channel_axis_where_a_module_makes_them_one_hot():
    class OneHot(nn.Module):
        to_onehot_y = True

        def forward(self, logits, mask):
            assert mask.shape == (logits.shape[0], 1, *logits.shape[2:])
            return logits.mean()

    output = Output(logits=torch.randn(2, 2, 4, 4))
    target = Target(mask=torch.zeros(2, 4, 4).long())
    assert as_term(OneHot())(output, target) == output.logits.mean()
