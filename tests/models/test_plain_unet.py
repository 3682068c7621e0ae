"""The plain U-Net against documented counts, textbook layers and images of any size."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models import PlainUNet

both_dimensions = pytest.mark.parametrize("dims", [2, 3])


def build(dims: int = 2, **rest) -> PlainUNet:
    torch.manual_seed(0)
    return PlainUNet(1, 2, spatial_dims=dims, **({"init_features": 2, "depth": 2} | rest))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("features", "documented"),
    [
        (6, 273_929),
        (8, 486_419),
        (10, 759_501),
        (12, 1_093_175),
        (14, 1_487_441),
        (16, 1_942_299),
        (64, 31_036_491),
    ],
)
def test_it_has_the_documented_number_of_parameters(features, documented):
    network = PlainUNet(1, 1, init_features=features, batch_norm=True)
    assert count(network) == documented


@both_dimensions
@pytest.mark.parametrize("batch_norm", [False, True])
def test_gates_add_what_is_counted_on_paper(dims, batch_norm):
    norm = 2 * batch_norm

    def gate(c: int) -> int:
        inner = c // 2
        return 2 * (c * inner + inner + norm * inner) + inner + 1 + norm

    bare, gated = (
        build(dims, init_features=8, depth=3, batch_norm=batch_norm, attention=attention)
        for attention in (False, True)
    )
    assert count(gated) - count(bare) == gate(8) + gate(16) + gate(32)


def textbook(network: PlainUNet, x: torch.Tensor) -> torch.Tensor:
    """The same function of layers of torch, in evaluation."""

    def block(stage, x):
        for layer in stage:
            x, norm = layer.convolution(x), layer.norm
            if norm is not None:
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = F.relu(x)
        return x

    pool = F.max_pool2d if x.dim() == 4 else F.max_pool3d
    x, skips = network.stem(x), []
    for stage in network.encoder[:-1]:
        skips.append(block(stage, x))
        x = pool(skips[-1], 2)
    x = block(network.encoder[-1], x)
    for level in (1, 0):
        up, skip = network.up[level](x), skips[level]
        if network.gates:
            gate = network.gates[level]
            skip = skip * torch.sigmoid(gate.psi(F.relu(gate.theta(skip) + gate.phi(up))))
        x = block(network.decoder[level], torch.cat((up, skip), 1))
    return network.head(x)


@both_dimensions
@pytest.mark.parametrize("rest", [{}, {"batch_norm": True}, {"attention": True}])
def test_it_computes_what_plain_layers_compute(dims, rest):
    network = build(dims, **rest).double().eval()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    image = torch.randn(2, 1, *(8, 12, 4)[:dims], dtype=torch.double)
    output = network(image)
    torch.testing.assert_close(output.logits, textbook(network, image))
    assert output.deep == ()


@both_dimensions
def test_an_image_of_any_size_is_seen_as_if_its_edge_went_on(dims):
    network = build(dims, batch_norm=True).eval()
    size, whole = (7, 9, 5)[:dims], (8, 12, 8)[:dims]
    image = torch.randn(1, 1, *size)
    ends = [end for n, m in reversed(list(zip(size, whole, strict=True))) for end in (0, m - n)]
    with torch.no_grad():
        logits = network(image).logits
        larger = network(F.pad(image, ends, mode="replicate")).logits
    assert logits.shape == (1, 2, *size)
    torch.testing.assert_close(logits, larger[(..., *(slice(n) for n in size))])


@both_dimensions
@pytest.mark.parametrize("rest", [{}, {"batch_norm": True, "attention": True}])
def test_every_weight_has_a_gradient(dims, rest):
    network = build(dims, init_features=4, **rest)
    network(torch.randn(2, 1, *(8, 8, 8)[:dims])).logits.square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A shift in front of a normalisation over the batch is taken out again.
    assert [n for n in silent if not n.endswith(("0.bias", "1.bias"))] == []


def test_half_precision_under_autocast_is_close():
    network, image = build(batch_norm=True, attention=True).eval(), torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        exact = network(image).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(image).logits
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


def test_dropout_silences_whole_channels_while_training_only():
    layer = build(dropout=0.5, init_features=32).encoder[0][0]
    image = torch.ones(1, 1, 8, 8)
    whole, part = layer.eval()(image), layer.train()(image)
    silent = ~part.flatten(2).any(2)[0]
    assert silent.any()
    torch.testing.assert_close(part[:, ~silent], 2 * whole[:, ~silent])


def test_glorot_is_another_start_within_its_bounds():
    network = build(xavier=True)
    weight = network.encoder[1][0].convolution.weight
    assert weight.abs().max() <= (6 / (9 * (2 + 4))) ** 0.5
    assert not torch.equal(weight, build().encoder[1][0].convolution.weight)


def test_levels_double_their_width():
    widths = [stage[0].convolution.out_channels for stage in build(depth=4).encoder]
    assert all(2 * fine == coarse for fine, coarse in pairwise(widths))


def test_mistakes_are_named():
    with pytest.raises(ValueError) as error:
        build()(torch.zeros(1, 1, 8, 8, 8))
    assert str(error.value) == (
        "image: this PlainUNet takes 2 spatial axes, got the shape (1, 1, 8, 8, 8). "
        "Fix: pass (b, c, i, j), or another spatial_dims."
    )
    with pytest.raises(ValueError, match=r"PlainUNet: init_features and depth are 1 or more"):
        build(depth=0)
