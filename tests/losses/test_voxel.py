"""Cross-entropy against PyTorch's own, focal and top-k against their definitions."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import CrossEntropy, Focal, TopK


@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 3.0)])
def test_it_is_torch_cross_entropy_with_minus_one_ignored(weights):
    logits = torch.randn(2, 3, 4, 5, 2)
    mask = torch.randint(-1, 3, (2, 4, 5, 2))
    tensor = None if weights is None else torch.tensor(weights)
    ours = CrossEntropy(weights=weights)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(ours, F.cross_entropy(logits, mask, tensor, ignore_index=-1))


def test_overlapping_is_torch_binary_cross_entropy():
    logits = torch.randn(2, 3, 4, 5)
    mask = torch.randint(0, 2, logits.shape).float()
    ours = CrossEntropy(overlapping=True)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(logits, mask))


def test_a_class_weight_of_zero_takes_an_overlapping_class_out():
    logits = torch.randn(2, 2, 4, 5)
    mask = torch.randint(0, 2, logits.shape).float()
    term = CrossEntropy(overlapping=True, weights=(1.0, 0.0))
    ours = term(Output(logits=logits), Target(mask=mask))
    alone = F.binary_cross_entropy_with_logits(logits[:, :1], mask[:, :1])
    torch.testing.assert_close(ours, alone)


def test_weights_must_fit_the_channels():
    with pytest.raises(ValueError) as error:
        CrossEntropy(weights=(1.0, 2.0))(
            Output(logits=torch.zeros(1, 3, 2, 2)), Target(mask=torch.zeros(1, 2, 2).long())
        )
    assert str(error.value) == (
        "CrossEntropy: 2 weights for 3 output channels. "
        "Fix: one weight per channel, background included."
    )


@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 3.0)])
@pytest.mark.parametrize("overlapping", [False, True])
def test_focal_without_focus_is_cross_entropy(overlapping, weights):
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    mask = torch.randint(-1, 2, (2, 3, 4, 5)).double() if overlapping else None
    target = Target(mask=torch.randint(-1, 3, (2, 4, 5)) if mask is None else mask)
    focal = Focal(gamma=0.0, overlapping=overlapping, weights=weights)
    plain = CrossEntropy(overlapping=overlapping, weights=weights)
    torch.testing.assert_close(
        focal(Output(logits=logits), target), plain(Output(logits=logits), target)
    )


def test_focal_is_the_definition_voxel_by_voxel():
    logits = torch.randn(2, 3, 4, dtype=torch.double)
    mask = torch.randint(0, 3, (2, 4))
    probs = logits.softmax(1)
    terms = []
    for case in range(2):
        for voxel in range(4):
            y = mask[case, voxel]
            p = probs[case, y, voxel]
            terms.append((0.25 if y > 0 else 0.75) * (1 - p) ** 1.5 * -p.log())
    found = Focal(gamma=1.5, alpha=0.25)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, torch.stack(terms).mean())


def test_focal_of_overlapping_is_the_definition_of_binary_decisions():
    logits = torch.randn(2, 3, 4, dtype=torch.double)
    mask = torch.randint(0, 2, (2, 3, 4)).double()
    p = torch.where(mask > 0, logits.sigmoid(), 1 - logits.sigmoid())
    expected = (torch.where(mask > 0, 0.25, 0.75) * (1 - p) ** 2 * -p.log()).mean()
    found = Focal(alpha=0.25, overlapping=True)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_top_k_is_the_mean_of_the_sorted_entropies_of_known_voxels(share, overlapping):
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    if overlapping:
        mask = torch.randint(-1, 2, (2, 3, 4, 5)).double()
        entropies = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    else:
        mask = torch.randint(-1, 3, (2, 4, 5))
        entropies = F.cross_entropy(logits, mask, ignore_index=-1, reduction="none")
    known = entropies[mask >= 0].sort(descending=True).values
    expected = known[: max(1, round(share * len(known)))].mean()
    found = TopK(share=share, overlapping=overlapping)(Output(logits=logits), Target(mask=mask))
    torch.testing.assert_close(found, expected)


def test_arguments_out_of_range_are_refused():
    for make, message in (
        (lambda: Focal(gamma=-1.0), "Focal: gamma is -1. Fix: a power of at least 0."),
        (
            lambda: Focal(alpha=1.0),
            "Focal: alpha is 1. Fix: a share between 0 and 1, or null.",
        ),
        (lambda: TopK(share=0.0), "TopK: share is 0. Fix: more than 0, at most 1."),
    ):
        with pytest.raises(ValueError) as error:
            make()
        assert str(error.value) == message
