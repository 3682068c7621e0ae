"""The light decoder counted on paper and against textbook layers."""

from itertools import pairwise
from math import prod

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from delineate.models import LightUNet, UNet

FORMS = {
    2: {
        "features": (4, 6, 8),
        "strides": ((1, 1), (2, 2), (2, 1)),
        "kernels": ((3, 3), (3, 3), (3, 3)),
        "convolutions": (2, 2, 1),
    },
    3: {
        "features": (4, 6, 8),
        "strides": ((1, 1, 1), (2, 2, 1), (2, 2, 2)),
        "kernels": ((3, 3, 1), (3, 3, 3), (3, 3, 3)),
        "convolutions": (2, 2, 2),
    },
}
SIZES = {2: (8, 6), 3: (8, 8, 6)}
both_dimensions = pytest.mark.parametrize("dims", [2, 3])


def build(dims: int, **rest) -> LightUNet:
    torch.manual_seed(0)
    return LightUNet(2, 3, **FORMS[dims], **rest)


@both_dimensions
def test_the_decoder_has_the_parameters_counted_on_paper(dims):
    form = FORMS[dims]

    def stage(low, high, kernel, stride):
        up = high * low * prod(stride) + low
        convolution = low * low * prod(kernel) + low + 2 * low
        return up + convolution

    pairs = pairwise(form["features"])
    expected = [
        stage(low, high, kernel, stride)
        for (low, high), kernel, stride in zip(
            pairs, form["kernels"], form["strides"][1:], strict=False
        )
    ]
    network = build(dims)
    found = [
        sum(p.numel() for part in (up, decoder) for p in part.parameters())
        for up, decoder in zip(network.up, network.decoder, strict=True)
    ]
    assert found == expected


@both_dimensions
def test_the_encoder_is_the_plain_unets(dims):
    plain = UNet(2, 3, **FORMS[dims]).encoder.state_dict()
    assert {k: v.shape for k, v in build(dims).encoder.state_dict().items()} == {
        k: v.shape for k, v in plain.items()
    }


def test_it_does_little_more_than_half_the_arithmetic_of_the_plain_unet():
    form = {
        "features": (16, 32, 64, 128),
        "strides": ((1, 1, 1), *((2, 2, 2),) * 3),
        "kernels": ((3, 3, 3),) * 4,
        "convolutions": (2,) * 4,
    }

    def arithmetic(kind) -> int:
        with torch.device("meta"), FlopCounterMode(display=False) as counted:
            kind(1, 3, **form)(torch.empty(1, 1, 32, 32, 32))
        return counted.get_total_flops()

    assert 0.5 < arithmetic(LightUNet) / arithmetic(UNet) < 0.6


def test_the_decoder_computes_what_plain_torch_layers_compute():
    network = build(3).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    fine, middle, coarse = network.encode(torch.randn(2, 2, *SIZES[3]).double())

    def climb(stage: int, x, skip):
        up, (block,) = network.up[stage], network.decoder[stage]
        joined = F.conv_transpose3d(x, up.weight, up.bias, stride=up.stride) + skip
        conv, norm = block.convolution, block.norm
        padding = [k // 2 for k in conv.weight.shape[2:]]
        y = F.conv3d(joined, conv.weight, conv.bias, padding=padding)
        return F.leaky_relu(F.instance_norm(y, weight=norm.weight, bias=norm.bias), 0.01)

    x = climb(0, climb(1, coarse, middle), fine)
    head = network.heads[0]
    expected = F.conv3d(x, head.weight, head.bias)
    torch.testing.assert_close(network.decode((fine, middle, coarse)).logits, expected)
