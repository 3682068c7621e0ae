"""Resampling matrices and the fused convolution, against interpolation and convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models.vit_gnn_raster import _adjacency, _convolved, resampling


@pytest.mark.parametrize(("length", "wanted"), [(4, 64), (1, 5), (3, 3), (10, 33)])
def test_more_numbers_are_linear_between_those_there_are(length, wanted):
    x = torch.randn(1, 2, length, dtype=torch.float64)
    expected = F.interpolate(x, size=wanted, mode="linear", align_corners=False)
    torch.testing.assert_close(x @ resampling(length, wanted, like=x), expected)


@pytest.mark.parametrize(("length", "wanted"), [(10, 4), (10, 1), (7, 5)])
def test_fewer_numbers_are_means_and_every_number_is_in_one(length, wanted):
    x = torch.randn(1, 2, length)
    matrix = resampling(length, wanted, like=x)
    torch.testing.assert_close(x @ matrix, F.adaptive_avg_pool1d(x, wanted))
    assert (matrix.sum(1) > 0).all()


@pytest.mark.parametrize("size", [(8, 4, 12), (8, 12)])
def test_a_convolution_of_interpolated_tokens_never_needs_them_at_full_size(size):
    torch.manual_seed(0)
    dims = len(size)
    kind, mode = ((nn.Conv2d, "bilinear"), (nn.Conv3d, "trilinear"))[dims - 2]
    layer = kind(5, 3, 3, padding=1).double()
    x = torch.randn(2, 5, *(n // 4 for n in size), dtype=torch.float64, requires_grad=True)
    axes = [resampling(n // 4, n, like=x) for n in size]
    found, expected = _convolved(x, layer, axes), layer(F.interpolate(x, size=size, mode=mode))
    torch.testing.assert_close(found, expected)
    pull = torch.randn_like(expected)
    parts = (x, layer.weight, layer.bias)
    torch.testing.assert_close(
        torch.autograd.grad(found, parts, pull), torch.autograd.grad(expected, parts, pull)
    )


def test_the_documented_neighbours_have_equal_shares():
    shares = _adjacency()
    torch.testing.assert_close(shares.sum(1), torch.ones(16))
    linked = shares > 0
    assert torch.equal(linked, linked.T)
    assert linked.sum() == 16 + 2 * 17
    assert [j for j in range(16) if linked[3, j]] == [1, 2, 3, 4, 8]
    assert [j for j in range(16) if linked[0, j]] == [0]
    torch.testing.assert_close(shares[3, 8], torch.tensor(0.2))
