"""DUCK-Net against a count on paper, its formula and images of any size."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from delineate.models import DUCKNet
from delineate.models.duck_net import Duck, Residual, SameSize, Views

both_dimensions = pytest.mark.parametrize("dims", [2, 3])


def build(dims: int = 2, **rest) -> DUCKNet:
    torch.manual_seed(0)
    return DUCKNet(1, 2, spatial_dims=dims, **({"init_features": 2, "depth": 2} | rest))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def on_paper(channels: int, classes: int, features: int, depth: int, dims: int) -> int:
    """The published layers one by one: convolutions with a bias, norms of two vectors."""

    def convolution(voxels: int, a: int, b: int) -> int:
        return voxels * a * b + b

    def normed(voxels: int, a: int, b: int) -> int:
        return convolution(voxels, a, b) + 2 * b

    def residual(a: int, b: int) -> int:
        two = normed(3**dims, a, b) + normed(3**dims, b, b)
        return convolution(1, a, b) + two + 2 * b

    def duck(a: int, b: int) -> int:
        first, more = normed(3**dims, a, b), normed(3**dims, b, b)
        scopes = (first + 2 * more) + (first + more)
        residuals = 3 * residual(a, b) + 3 * residual(b, b)
        separated = normed(6, a, b) + (dims - 1) * normed(6, b, b)
        return 2 * a + scopes + residuals + separated + 2 * b

    widths = [features * 2**level for level in range(depth + 1)]
    total = sum(convolution(2**dims, a, b) for a, b in pairwise((channels, *widths[1:])))
    total += sum(convolution(2**dims, a, b) for a, b in pairwise(widths))
    total += sum(map(duck, (channels, *widths[1:-1]), widths[:-1]))
    total += sum(map(duck, widths[:-1], (features, *widths[:-2])))
    deepest, half = widths[-1], widths[-2]
    total += 2 * residual(deepest, deepest) + residual(deepest, half) + residual(half, half)
    return total + convolution(1, features, classes)


def test_the_published_network_has_the_parameters_counted_on_paper():
    network = DUCKNet(3, 1)
    assert count(network) == on_paper(3, 1, 17, 5, 2) == 38_867_668


@pytest.mark.parametrize(("features", "dims"), [(7, 2), (8, 2), (15, 2), (7, 3)])
def test_the_documented_sizes_too(features, dims):
    network = DUCKNet(1, 1, init_features=features, depth=3, spatial_dims=dims)
    assert count(network) == on_paper(1, 1, features, 3, dims)


def test_a_block_adds_six_views_and_the_mean_is_a_sixth_of_it():
    torch.manual_seed(0)
    blocks = [Duck(2, 3, Views(2, None, means)) for means in (False, True)]
    blocks[1].load_state_dict(blocks[0].state_dict())
    image = torch.rand(1, 2, 7, 7)
    sums = blocks[0]
    once, twice, thrice = sums.residuals
    expected = sums.wide(image) + sums.middle(image) + sums.separated(image)
    expected = expected + once(image) + twice[1](twice[0](image)) + thrice(image)
    torch.testing.assert_close(sums(image), expected)
    for residual in blocks[1].modules():
        if isinstance(residual, Residual):
            residual.scale = 1.0
    torch.testing.assert_close(blocks[1](image), expected / 6)


def test_a_kernel_of_six_reaches_two_voxels_back_and_three_ahead():
    layer = SameSize(1, 1, (1, 6), 1)
    nn.init.ones_(layer.convolution.weight)
    nn.init.zeros_(layer.convolution.bias)
    image = torch.zeros(1, 1, 3, 12)
    image[0, 0, 1, 6] = 1
    touched = layer(image)[0, 0].nonzero().tolist()
    assert touched == [[1, j] for j in range(3, 9)]


@both_dimensions
def test_one_axis_after_the_other_is_convolved_the_last_one_first(dims):
    separated = build(dims).encoder[0].separated
    kernels = [part[0].convolution.weight.shape[2:] for part in separated]
    assert [tuple(kernel).index(6) for kernel in kernels] == list(reversed(range(dims)))
    assert all(sorted(kernel) == [*(1,) * (dims - 1), 6] for kernel in kernels)


@both_dimensions
@pytest.mark.parametrize("normalization", ["batch", "instance", None])
def test_any_size_and_a_gradient_for_every_weight(dims, normalization):
    means = normalization is None
    network = build(dims, init_features=4, normalization=normalization, use_multiplier=means)
    size = (9, 11, 10)[:dims]
    output = network(torch.randn(2, 1, *size))
    assert output.logits.shape == (2, 2, *size)
    assert output.deep == ()
    output.logits.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    # A shift in front of a normalisation is taken out again.
    silent = [n for n, p in network.named_parameters() if not p.grad.any() and "bias" not in n]
    assert silent == []


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_half_precision_under_autocast_is_close(interpolation):
    network, image = build(interpolation=interpolation).eval(), torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        exact = network(image).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(image).logits
    assert rough.dtype == torch.bfloat16
    scale = exact.abs().max()
    torch.testing.assert_close(rough.float() / scale, exact / scale, rtol=0, atol=0.05)


def test_recomputed_stages_train_the_same_and_move_the_averages_once():
    image = torch.rand(2, 1, 8, 8)
    plain, frugal = build(), build(checkpointing=True)
    for network in (plain, frugal):
        network(image).logits.square().mean().backward()
    for ours, theirs in zip(plain.parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(plain.buffers(), frugal.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_one_small_picture_alone_can_be_trained_on():
    """Its coarsest level has one voxel, so no variance."""
    output = build(depth=3)(torch.rand(1, 1, 8, 8))
    assert output.logits.isfinite().all()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="this DUCKNet takes 3 spatial axes"):
        build(3)(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError) as error:
        build(depth=0)
    assert str(error.value) == "DUCKNet: init_features and depth are 1 or more; got 2, 0."
