"""1x1 convolutions with a stride are torch's own."""

import pytest
import torch
import torch.nn.functional as F

from delineate.models.blocks import channels_last
from delineate.models.pointwise import Spread, Thinned


@pytest.mark.parametrize("stride", [(2, 2), (2, 1), (1, 1), (2, 2, 2), (1, 2, 3)])
def test_thinned_is_a_strided_convolution(stride):
    x = torch.randn(2, 2, *(5, 6, 7)[: len(stride)], dtype=torch.double, requires_grad=True)
    layer = Thinned(2, 4, stride).double()
    convolve = F.conv2d if len(stride) == 2 else F.conv3d
    plain = convolve(x, layer.convolution.weight, layer.convolution.bias, stride)
    assert_same_values_and_gradients(layer(channels_last(x)), plain, (x, *layer.parameters()))


@pytest.mark.parametrize("stride", [(2, 2), (2, 1), (1, 1), (2, 2, 2), (1, 2, 3)])
def test_spread_is_a_transposed_convolution(stride):
    x = torch.randn(2, 3, *(3, 4, 2)[: len(stride)], dtype=torch.double, requires_grad=True)
    layer = Spread(3, 2, stride).double()
    convolve = F.conv_transpose2d if len(stride) == 2 else F.conv_transpose3d
    weight = layer.convolution.weight.transpose(0, 1)
    plain = convolve(x, weight, layer.convolution.bias, stride)
    assert_same_values_and_gradients(layer(channels_last(x)), plain, (x, *layer.parameters()))


def assert_same_values_and_gradients(ours, plain, inputs):
    torch.testing.assert_close(ours, plain)
    grad = torch.randn_like(plain)
    ours_grads = torch.autograd.grad(ours, inputs, grad, retain_graph=True)
    plain_grads = torch.autograd.grad(plain, inputs, grad)
    for a, b in zip(ours_grads, plain_grads, strict=True):
        torch.testing.assert_close(a, b)
