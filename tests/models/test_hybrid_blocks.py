"""The pieces of the hybrid network against their formulas, and their silence."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models.hybrid_blocks import GROUP, Block, Excitation, Gate, Rise, silence

SIZES = {2: (6, 4), 3: (4, 6, 2)}
both_dimensions = pytest.mark.parametrize("dims", [2, 3])


def drawn(part: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for weight in part.parameters():
        nn.init.normal_(weight, 0, 0.5, generator=generator)
    return part


def features(channels: int, dims: int) -> torch.Tensor:
    return torch.randn(2, channels, *SIZES[dims], generator=torch.Generator().manual_seed(2))


@both_dimensions
def test_an_excitation_weighs_each_channel_by_the_means_of_all(dims):
    part, x = drawn(Excitation(16)), features(16, dims)
    means = x.mean(tuple(range(2, x.dim())))
    hidden = F.leaky_relu(means @ part.gather.weight.T + part.gather.bias)
    factors = 2 / (1 + torch.exp(-(hidden @ part.spread.weight.T + part.spread.bias)))

    for case in range(2):
        for channel in range(16):
            expected = x[case, channel] * factors[case, channel]
            torch.testing.assert_close(part(x)[case, channel], expected)


@both_dimensions
def test_a_blocks_convolution_is_really_grouped(dims):
    block, x = drawn(Block(16, 16, dims, project=False)), features(16, dims)
    convolve = {2: F.conv2d, 3: F.conv3d}[dims]
    parts = [
        convolve(x[:, i : i + GROUP], block.middle.weight[i : i + GROUP], padding=1)
        for i in range(0, 16, GROUP)
    ]

    assert block.middle.weight.shape == (16, GROUP, *(3,) * dims)
    torch.testing.assert_close(block.middle(x), torch.cat(parts, 1))


@both_dimensions
def test_a_block_is_the_published_one_with_its_norms_in_front(dims):
    block, x = drawn(Block(8, 16, dims, project=True)), features(8, dims)

    def norm(part, y):
        return F.leaky_relu(F.instance_norm(y, weight=part.weight, bias=part.bias), 0.01)

    normed = norm(block.norm, x)
    inner = norm(block.enter_norm, block.enter(normed))
    inner = norm(block.middle_norm, block.middle(inner))
    expected = block.shortcut(normed) + block.excitation(block.leave(inner))
    torch.testing.assert_close(block(x), expected)


@both_dimensions
def test_a_gate_weighs_each_voxel_between_hiding_and_doubling_it(dims):
    gate, skip, coarse = drawn(Gate(8, dims)), features(8, dims), features(8, dims) + 1
    theta, phi, psi = (p.weight.flatten(1) for p in (gate.theta, gate.phi, gate.psi))
    shape = (-1, *(1,) * dims)
    hidden = torch.einsum("dc,bc...->bd...", theta, skip)
    hidden = hidden + torch.einsum("dc,bc...->bd...", phi, coarse) + gate.phi.bias.view(shape)
    logit = torch.einsum("dc,bc...->bd...", psi, F.leaky_relu(hidden)) + gate.psi.bias.view(shape)

    torch.testing.assert_close(gate(skip, coarse), skip * 2 * logit.sigmoid())
    for bias, factor in ((-1e4, 0), (1e4, 2)):
        nn.init.constant_(gate.psi.bias, bias)
        torch.testing.assert_close(gate(skip, coarse), factor * skip)


@both_dimensions
def test_rising_repeats_each_voxel(dims):
    rise, x = drawn(Rise(8, 4, dims)), features(8, dims)
    risen = rise(x)
    for offset in (0, 1):
        every = (..., *(slice(offset, None, 2),) * dims)
        torch.testing.assert_close(risen[every], rise.project(x))


@both_dimensions
def test_a_silent_piece_adds_nothing_to_the_bit(dims):
    x, coarse = features(16, dims), features(16, dims) + 1
    pieces = (Excitation(16), Block(16, 16, dims, project=False), Gate(16, dims))
    for piece in map(drawn, pieces):
        given = (x, coarse) if isinstance(piece, Gate) else (x,)
        assert not torch.equal(piece(*given), x)
        silence(piece)
        assert torch.equal(piece(*given), x)
    rise = drawn(Rise(16, 8, dims))
    silence(rise)
    assert rise(x).abs().max() == 0
