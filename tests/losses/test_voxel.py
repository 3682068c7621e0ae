"""Cross-entropy against PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F

from delineate.contracts import Output, Target
from delineate.losses import CrossEntropy


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
