"""The loss: PyTorch's cross-entropy, over any kind of logits."""

import pytest
import torch
import torch.nn.functional as F
from liver_toys import settings

from delineate.contracts import Output
from delineate.systems.liver.losses import (
    DiceCrossEntropyLoss,
    SegmentationCrossEntropyLoss,
    make_loss,
)

SIZES = [(4, 6), (4, 6, 5)]


def draw(size, classes: int = 3):
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, *size, generator=chance)
    return logits, torch.randint(0, classes, (2, *size), generator=chance)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 3.0])])
def test_it_is_the_cross_entropy_of_pytorch(size, weight):
    logits, ids = draw(size)
    loss = SegmentationCrossEntropyLoss(weight=weight)
    expected = F.cross_entropy(logits, ids, weight=weight)
    assert torch.allclose(loss(logits, ids), expected)
    assert torch.allclose(loss(logits, ids[:, None]), expected)


def test_ignored_voxels_count_nothing_and_nothing_known_is_0():
    logits, ids = draw((4, 6))
    ids[:, 0] = -1
    loss = SegmentationCrossEntropyLoss()
    assert torch.allclose(loss(logits, ids), F.cross_entropy(logits, ids, ignore_index=-1))
    logits.requires_grad_()
    nothing = loss(logits, torch.full_like(ids, -1))
    nothing.backward()
    assert nothing == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize(
    "kind", [list, tuple, lambda parts: Output(logits=parts[0], deep=(parts[1],))]
)
def test_coarser_logits_count_half_against_the_coarser_mask(kind):
    fine, ids = draw((4, 6))
    coarse = torch.randn(2, 3, 2, 3)
    expected = F.cross_entropy(fine, ids) + 0.5 * F.cross_entropy(coarse, ids[:, ::2, ::2])
    found = SegmentationCrossEntropyLoss()(kind([fine, coarse]), ids)
    assert torch.allclose(found, expected / 1.5)


def test_coarser_logits_that_do_not_divide_the_mask_are_up_sampled():
    fine, ids = draw((5, 7))
    coarse = torch.randn(2, 3, 3, 4)
    large = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[:, :, :5, :7]
    expected = (F.cross_entropy(fine, ids) + 0.5 * F.cross_entropy(large, ids)) / 1.5
    assert torch.allclose(SegmentationCrossEntropyLoss()([fine, coarse], ids), expected)


def test_half_precision_does_not_reach_the_loss():
    logits, ids = draw((4, 6))
    assert SegmentationCrossEntropyLoss()(logits.half(), ids).dtype == torch.float32


def test_the_soft_dice_of_the_structures_is_added():
    logits, ids = draw((4, 6, 5))
    probs, hot = logits.softmax(1)[:, 1:], F.one_hot(ids, 3).movedim(-1, 1)[:, 1:].float()
    sums = [(x).sum((2, 3, 4)) for x in (probs * hot, probs, hot)]
    dice = (2 * sums[0] + 1e-5) / (sums[1] + sums[2] + 1e-5)
    expected = F.cross_entropy(logits, ids) + 1 - dice.mean()
    assert torch.allclose(DiceCrossEntropyLoss()(logits, ids), expected)


def test_the_settings_name_the_loss_and_its_weights(tmp_path):
    config = settings(tmp_path, loss="dice_cross_entropy", class_weights=(1, 2, 5))
    assert isinstance(make_loss(config), DiceCrossEntropyLoss)
    assert make_loss(config).weight == (1.0, 2.0, 5.0)
    config.target_label = 2
    assert make_loss(config).weight == (1.0, 5.0)
