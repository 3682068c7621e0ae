"""The gates against a count on paper and against textbook layers."""

from itertools import pairwise
from math import prod

import pytest
import torch
import torch.nn.functional as F

from delineate.models import AttentionUNet, UNet

FORMS = {
    2: {
        "features": (4, 6, 8, 8),
        "strides": ((1, 1), (2, 2), (2, 1), (2, 2)),
        "kernels": ((3, 3),) * 4,
        "convolutions": (2, 2, 1, 1),
    },
    3: {
        "features": (4, 6, 8, 8),
        "strides": ((1, 1, 1), (2, 2, 1), (2, 2, 2), (1, 2, 2)),
        "kernels": ((3, 3, 1), *((3, 3, 3),) * 3),
        "convolutions": (2, 2, 1, 1),
    },
}
SIZES = {2: (16, 12), 3: (8, 16, 8)}
both_dimensions = pytest.mark.parametrize("dims", [2, 3])


def build(dims, **rest) -> AttentionUNet:
    torch.manual_seed(0)
    return AttentionUNet(2, 3, **FORMS[dims], **rest)


def parameters(network) -> int:
    return sum(p.numel() for p in network.parameters())


@both_dimensions
def test_the_parameters_are_a_unets_and_the_gates_counted_on_paper(dims):
    form = FORMS[dims]

    def gate(fine, coarse, stride):
        theta = fine * fine * prod(stride)
        phi = coarse * fine + fine
        psi = fine + 1
        out = fine * fine + fine + 2 * fine  # a convolution and its norm
        return theta + phi + psi + out

    gates = [
        gate(fine, coarse, stride)
        for (fine, coarse), stride in zip(
            pairwise(form["features"]), form["strides"][1:], strict=True
        )
    ]
    assert parameters(build(dims)) == parameters(UNet(2, 3, **form)) + sum(gates[1:])


def test_the_papers_gates_have_as_many_parameters_as_the_authors_code():
    """Widths 16 to 256 halve every axis: 2 x 2 x 2 theta without bias, all inner widths the skip's.

    The authors' GridAttentionBlock3D, by its layers: theta 8 c^2, phi c g + c, psi c + 1, W c^2 + c
    and a batch normalisation of 2 c.
    """
    network = AttentionUNet(
        1,
        2,
        features=(16, 32, 64, 128, 256),
        strides=((1, 1, 1), *((2, 2, 2),) * 4),
        kernels=((3, 3, 3),) * 5,
        convolutions=(2,) * 5,
    )
    expected = [9 * c * c + c * 2 * c + 5 * c + 1 for c in (32, 64, 128)]
    assert [parameters(gate) for gate in network.gates] == expected == [11425, 45377, 180865]


@both_dimensions
def test_the_network_computes_what_plain_torch_layers_compute(dims):
    network = build(dims).double()
    for parameter in network.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 1, 0.2)
    image = torch.randn(2, 2, *SIZES[dims], dtype=torch.double)

    ours, reference = network(image).logits, textbook(network, image)

    torch.testing.assert_close(ours, reference)
    weights = list(network.parameters())
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(reference.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def textbook(network: AttentionUNet, x: torch.Tensor) -> torch.Tensor:
    mode = "bilinear" if x.dim() == 4 else "trilinear"

    def run(stack, x):
        for block in stack:
            x = block.convolution(x)
            x = F.instance_norm(x, weight=block.norm.weight, bias=block.norm.bias)
            x = F.leaky_relu(x, 0.01)
        return x

    def gated(gate, x, g):
        weight = torch.sigmoid(gate.psi(F.relu(gate.theta(x) + gate.phi(g))))
        x = x * F.interpolate(weight, size=x.shape[2:], mode=mode)
        convolution, norm = gate.out
        return F.instance_norm(convolution(x), weight=norm.weight, bias=norm.bias)

    skips = []
    for stage in network.encoder:
        x = run(stage, x)
        skips.append(x)
    for i in (2, 1, 0):
        skip = gated(network.gates[i - 1], skips[i], x) if i else skips[0]
        x = run(network.decoder[i], torch.cat((network.up[i](x), skip), 1))
    return network.heads[0](x)


@both_dimensions
def test_attention_is_one_weight_per_voxel_between_zero_and_one(dims):
    network = build(dims)
    features = network.encode(torch.randn(1, 2, *SIZES[dims]))

    weight = network.gates[1].attention(features[2], features[3])

    assert weight.shape == (1, 1, *features[2].shape[2:])
    assert ((weight > 0) & (weight < 1)).all()


def test_a_closed_gate_hides_its_skip():
    gate = build(3).gates[0]
    torch.nn.init.constant_(gate.psi.bias, -1e4)
    skip, coarse = torch.randn(1, 6, 4, 4, 4), torch.randn(1, 8, 2, 2, 2)

    assert gate(skip, coarse).abs().max() == 0


def test_two_stages_leave_no_skip_to_gate():
    with pytest.raises(ValueError) as error:
        AttentionUNet(
            1,
            2,
            features=(4, 8),
            strides=((1, 1), (2, 2)),
            kernels=((3, 3), (3, 3)),
            convolutions=(2, 2),
        )
    assert str(error.value) == (
        "AttentionUNet: needs at least three stages, as the finest skip has no gate; got 2. "
        "Fix: a larger patch, or UNet."
    )
