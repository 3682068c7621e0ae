"""The fast normalisation is instance normalisation."""

import pytest
import torch
import torch.nn.functional as F

from delineate.models.blocks import channels_last
from delineate.models.norm import NormAct


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4, 5, 2)])
@pytest.mark.parametrize("layout", [channels_last, torch.Tensor.contiguous])
def test_values_and_gradients_are_those_of_torch(shape, layout):
    norm = NormAct(3).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = layout(torch.randn(shape, dtype=torch.double)).requires_grad_()
    grad = torch.randn(shape, dtype=torch.double)
    ours = norm(x)
    reference = F.leaky_relu(F.instance_norm(x, weight=norm.weight, bias=norm.bias), 0.01)
    torch.testing.assert_close(ours, reference)
    inputs = (x, norm.weight, norm.bias)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, grad),
        torch.autograd.grad(reference, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("slope", [0, 0.2, 1])
def test_groups_and_slopes_are_those_of_torch_and_the_gradient_that_comes_in_is_kept(groups, slope):
    norm = NormAct(6, groups=groups, slope=slope).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = channels_last(torch.randn(2, 6, 3, 4, 2, dtype=torch.double)).requires_grad_()
    grad = torch.randn(2, 6, 3, 4, 2, dtype=torch.double)
    given = grad.clone()
    normed = F.group_norm(x, groups, norm.weight, norm.bias)
    reference = torch.where(normed > 0, normed, slope * normed)
    inputs = (x, norm.weight, norm.bias)

    ours = norm(x)
    found = torch.autograd.grad(ours, inputs, grad)

    torch.testing.assert_close(ours, reference)
    assert torch.equal(grad, given)
    for a, b in zip(found, torch.autograd.grad(reference, inputs, grad), strict=True):
        torch.testing.assert_close(a, b)


def test_the_gradient_agrees_with_finite_differences():
    norm = NormAct(2).double()
    x = channels_last(torch.randn(1, 2, 3, 2, 2, dtype=torch.double)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v, w, b: norm_with(norm, v, w, b), (x, *norm.parameters())
    )


def norm_with(norm, x, weight, bias):
    return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))
