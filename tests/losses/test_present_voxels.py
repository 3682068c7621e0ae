"""Means over the voxels of present structures, in closed form, loop by loop."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import AttentionSupervision, Focal, PresentCrossEntropy, PresentFocal

PRESENT = ((0, 0), (0, 2), (1, 2))


def overlapping_case():
    """Two cases of three structures: the first lacks the second, the other has only the third."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double, generator=generator)
    mask = torch.zeros(2, 3, 4, 5, dtype=torch.double)
    mask[0, 0, :2], mask[0, 2, 2:], mask[1, 2, 1] = 1, 1, 1
    return logits, mask


def test_cross_entropy_is_the_mean_over_present_structures_of_that_over_voxels():
    logits, mask = overlapping_case()
    parts = [F.binary_cross_entropy_with_logits(logits[at], mask[at]) for at in PRESENT]
    found = PresentCrossEntropy(overlapping=True)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, torch.stack(parts).mean())


def test_among_exclusive_classes_each_structure_is_one_against_the_rest():
    logits, _ = overlapping_case()
    mask = torch.full((2, 4, 5), 2)
    mask[0, 0] = 1
    mask[1] = 0
    p = logits.softmax(1)
    parts = [F.binary_cross_entropy(p[0, k], (mask[0] == k).double()) for k in (1, 2)]
    found = PresentCrossEntropy()(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, torch.stack(parts).mean())


def test_focal_is_the_mean_over_present_structures_of_the_focal_loss():
    logits, mask = overlapping_case()
    focal = Focal(overlapping=True, alpha=0.25, gamma=2.0)
    parts = [
        focal(
            Output(logits=logits[case, None, [k]]),
            Target(mask=mask[case, None, [k]]),
        )
        for case, k in PRESENT
    ]
    found = PresentFocal(overlapping=True)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, torch.stack(parts).mean())


@pytest.mark.parametrize("overlapping", [False, True])
def test_without_gamma_focal_is_half_of_cross_entropy_at_equal_factors(overlapping):
    logits, mask = overlapping_case()
    target = Target(mask=mask if overlapping else mask.argmax(1))
    focal = PresentFocal(alpha=0.5, gamma=0.0, overlapping=overlapping)
    plain = PresentCrossEntropy(overlapping=overlapping)
    output = Output(logits=logits)
    torch.testing.assert_close(2 * focal(output, target), plain(output, target))


def test_attention_is_compared_where_present_and_divided_by_all_structures():
    logits, mask = overlapping_case()
    maps = torch.rand_like(logits)
    parts = [F.binary_cross_entropy(maps[at], mask[at]) for at in PRESENT]
    output = Output(logits=logits, extra={"attention_maps": maps})
    found = AttentionSupervision(overlapping=True)(output, Target(mask=mask))
    torch.testing.assert_close(found, torch.stack(parts).sum() / 6)


def test_maps_that_are_sure_and_wrong_have_a_finite_slope():
    maps = torch.tensor([[[[0.0, 1.0]]]], requires_grad=True)
    output = Output(logits=torch.zeros(1, 1, 1, 2), extra={"attention_maps": maps})
    term = AttentionSupervision(overlapping=True)
    term(output, Target(mask=torch.tensor([[[[1.0, 0.0]]]]))).backward()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize("term", [PresentCrossEntropy, PresentFocal, AttentionSupervision])
def test_where_nothing_is_present_there_is_no_loss(term):
    logits, mask = overlapping_case()
    output = Output(logits=logits, extra={"attention_maps": logits.sigmoid()})
    assert term(overlapping=True)(output, Target(mask=torch.zeros_like(mask))) == 0


def test_a_network_without_attention_maps_is_refused():
    logits, mask = overlapping_case()
    with pytest.raises(ValueError) as error:
        AttentionSupervision(overlapping=True)(Output(logits=logits), Target(mask=mask))
    assert str(error.value) == (
        "AttentionSupervision: output.extra has no attention_maps. Fix: take a network that "
        "returns them, such as SADAAN, or leave this term out."
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gamma": -1.0}, "PresentFocal: gamma is -1. Fix: a power of at least 0."),
        ({"alpha": 1.0}, "PresentFocal: alpha is 1. Fix: a share between 0 and 1."),
    ],
)
def test_factors_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError) as error:
        PresentFocal(**wrong)
    assert str(error.value) == message
