"""Levels of a hierarchy, and that each is the loss of summed probabilities."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.labels import Class, Labels
from delineate.losses import CrossEntropy, Dice, Hierarchical, HierarchicalFocal


def brain(*, overlapping=False):
    """Two leaves in a stem that is a union, a thalamus alone, a lesion with a core of its own."""
    return Labels(
        classes=(
            Class(name="stem"),
            Class(name="midbrain", id=1, parent="stem"),
            Class(name="thalamus", id=2),
            Class(name="pons", id=3, parent="stem"),
            Class(name="lesion", id=4),
            Class(name="core", id=5, parent="lesion"),
            Class(name="necrosis", id=6, parent="core"),
        ),
        overlapping=overlapping,
    )


def test_levels_open_unions_step_by_step():
    assert brain().levels == (
        ((0,), (1, 3), (2,), (4, 5, 6)),
        ((0,), (1,), (2,), (3,), (4,), (5, 6)),
        ((0,), (1,), (2,), (3,), (4,), (5,), (6,)),
    )


def test_levels_of_overlapping_masks_have_no_background():
    assert brain(overlapping=True).levels[0] == ((0, 2), (1,), (3, 4, 5))


def test_the_groups_of_a_level_are_the_members_that_the_labels_name():
    labels = brain()
    coarsest = labels.levels[0]
    for name in ("stem", "thalamus", "lesion"):
        assert labels.members(name) in coarsest


def test_a_union_of_one_makes_no_level():
    labels = Labels(
        classes=(Class(name="a"), Class(name="b", id=1, parent="a"), Class(name="c", id=2))
    )
    assert labels.levels == (((0,), (1,), (2,)),)


def test_each_level_is_cross_entropy_and_dice_of_summed_probabilities():
    logits = torch.randn(2, 7, 5, 4, dtype=torch.double)
    mask = torch.randint(-1, 7, (2, 5, 4))
    probs = logits.softmax(1)
    expected = 0.0
    for weight, groups in zip((3.0, 2.0, 1.0), brain().levels, strict=True):
        summed = torch.stack([probs[:, list(g)].sum(1) for g in groups], 1)
        place = {c: i for i, g in enumerate(groups) for c in g} | {-1: -1}
        ids = mask.clone().apply_(place.__getitem__)
        # The logarithm of probabilities is a logit that gives them back.
        pair = Output(logits=summed.log()), Target(mask=ids)
        expected += weight * (F.nll_loss(summed.log(), ids, ignore_index=-1) + Dice()(*pair)) / 6
    term = Hierarchical(labels=brain(), weights=(3.0, 2.0, 1.0))
    torch.testing.assert_close(term(Output(logits=logits), Target(mask=mask)), expected)


def test_a_union_of_overlapping_masks_is_there_where_any_member_is():
    labels = brain(overlapping=True)
    logits = torch.randn(2, 6, 5, dtype=torch.double)
    mask = torch.randint(-1, 2, (2, 6, 5)).double()
    stem = mask[:, [0, 2]]
    union = torch.where((stem == 1).any(1), 1.0, torch.where((stem == -1).any(1), -1.0, 0.0))
    lesion = mask[:, [3, 4, 5]]
    other = torch.where((lesion == 1).any(1), 1.0, torch.where((lesion == -1).any(1), -1.0, 0.0))
    odds = logits.exp()
    coarse = torch.stack((odds[:, [0, 2]].sum(1), odds[:, 1], odds[:, 3:].sum(1)), 1).log()
    pair = Output(logits=coarse), Target(mask=torch.stack((union, mask[:, 1], other), 1).double())
    expected = CrossEntropy(overlapping=True)(*pair) + Dice(overlapping=True)(*pair)
    term = Hierarchical(labels=labels, weights=(1.0, 0.0, 0.0))
    torch.testing.assert_close(term(Output(logits=logits), Target(mask=mask)), expected)


def test_a_sibling_is_a_smaller_mistake_than_a_stranger():
    mask = torch.full((1, 4, 4), 1)
    said = {
        channel: Output(logits=F.one_hot(torch.full((1, 4, 4), channel), 7).movedim(-1, 1) * 9.0)
        for channel in (1, 2, 3)
    }
    term = Hierarchical(labels=brain())
    truth, stranger, sibling = (term(said[c], Target(mask=mask)).item() for c in (1, 2, 3))
    assert truth < 0.6 * sibling < sibling < stranger


def test_labels_without_a_union_are_refused():
    with pytest.raises(ValueError) as error:
        Hierarchical(labels=Labels.from_names({"liver": 1, "spleen": 2}))
    assert str(error.value) == (
        "Hierarchical: no class of the labels unites others. Fix: give classes a 'parent' in the "
        "labels, or take CrossEntropy and Dice."
    )


def test_weights_must_fit_the_levels():
    with pytest.raises(ValueError) as error:
        Hierarchical(labels=brain(), weights=(1.0, 2.0))
    assert str(error.value) == (
        "Hierarchical: the weights [1.0, 2.0] are for 3 levels. "
        "Fix: one weight per level, coarsest first, none below 0, not all 0."
    )


def test_logits_must_fit_the_labels():
    with pytest.raises(ValueError) as error:
        Hierarchical(labels=brain())(
            Output(logits=torch.zeros(1, 4, 2, 2)), Target(mask=torch.zeros(1, 2, 2).long())
        )
    assert str(error.value) == (
        "Hierarchical: the labels have 7 channels but the logits 4. "
        "Fix: one output channel per leaf of the labels."
    )


def test_the_focal_loss_of_unions_is_that_of_summed_probabilities_above_the_leaves():
    logits = torch.randn(2, 7, 5, 4, dtype=torch.double)
    mask = torch.randint(-1, 7, (2, 5, 4))
    probs = logits.softmax(1)
    expected = 0.0
    for groups in brain().levels[:-1]:
        summed = torch.stack([probs[:, list(g)].sum(1) for g in groups], 1)
        place = {c: i for i, g in enumerate(groups) for c in g} | {-1: 0}
        right = summed.gather(1, mask.clone().apply_(place.__getitem__)[:, None])[:, 0]
        expected += (-((1 - right) ** 3) * right.log())[mask >= 0].mean() / 2
    term = HierarchicalFocal(labels=brain(), gamma=3.0)
    torch.testing.assert_close(term(Output(logits=logits), Target(mask=mask)), expected)


def test_the_focal_loss_of_unions_leaves_siblings_to_others():
    mask = torch.full((1, 4, 4), 4)
    said = {
        channel: Output(logits=F.one_hot(torch.full((1, 4, 4), channel), 7).movedim(-1, 1) * 90.0)
        for channel in (1, 4, 5)
    }
    labels = Labels(
        classes=(
            Class(name="stem"),
            *(Class(name=f"left {i}", id=i, parent="stem") for i in (1, 2, 3)),
            Class(name="brain"),
            *(Class(name=f"right {i}", id=i, parent="brain") for i in (4, 5, 6)),
        )
    )
    stranger, truth, sibling = (
        HierarchicalFocal(labels=labels)(said[c], Target(mask=mask)) for c in (1, 4, 5)
    )
    assert truth == sibling == 0
    assert stranger > 10


def test_the_focal_loss_of_unions_wants_unions():
    with pytest.raises(ValueError) as error:
        HierarchicalFocal(labels=Labels.from_names({"liver": 1, "spleen": 2}))
    assert str(error.value) == (
        "HierarchicalFocal: no class of the labels unites others. Fix: give classes a 'parent' in "
        "the labels, or take Focal."
    )
