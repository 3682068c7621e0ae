"""Batch normalisation with a ReLU against PyTorch's layers, and stages that are recomputed."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from delineate.models.batch_norm import NormRelu, recomputed


def test_it_is_pytorchs_layer_and_a_relu_while_training_and_afterwards():
    ours, theirs = NormRelu(3), nn.BatchNorm2d(3)
    for part in (ours, theirs):
        nn.init.constant_(part.weight, 1.5)
        nn.init.constant_(part.bias, 0.2)
    for training in (True, True, False):
        x = torch.randn(2, 3, 4, 5)
        expected = theirs.train(training)(x).relu()
        torch.testing.assert_close(ours.train(training)(x), expected)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_a_single_value_meets_the_running_averages():
    norm = NormRelu(2).train()
    norm.running_mean.fill_(1.0)
    found = norm(torch.full((1, 2, 1, 1), 3.0))
    torch.testing.assert_close(found, torch.full((1, 2, 1, 1), 2 / (1 + 1e-5) ** 0.5))
    assert torch.equal(norm.running_mean, torch.ones(2))


def test_a_recomputed_stage_has_its_gradients_and_does_not_convolve_again():
    stage = nn.Sequential(NormRelu(4), nn.Conv2d(4, 4, 3, padding=1))
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    done, slopes, averages = [], [], []
    for call in (stage, lambda x: recomputed(stage, x)):
        nn.init.zeros_(stage[0].running_mean)
        with FlopCounterMode(display=False) as counted:
            call(x).square().sum().backward()
        slopes.append([leaf.grad for leaf in (x, *stage.parameters())])
        x.grad = None
        stage.zero_grad(set_to_none=True)
        done.append(counted.get_total_flops())
        averages.append(stage[0].running_mean.clone())
    assert done[0] == done[1] > 0
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(*averages)


def test_without_gradients_nothing_is_recomputed():
    stage = nn.Sequential(NormRelu(2), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        assert not recomputed(stage, torch.randn(2, 2, 3, 3)).requires_grad
