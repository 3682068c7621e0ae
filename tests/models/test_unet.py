"""The plain U-Net against nnU-Net's published arithmetic, in two and three dimensions."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from delineate.models import UNet
from delineate.models.blocks import channels_last

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


def build(dims: int, **rest) -> UNet:
    torch.manual_seed(0)
    return UNet(2, 3, **FORMS[dims], **rest)


def hippocampus(**rest) -> UNet:
    return UNet(
        1,
        3,
        features=(32, 64, 128, 256),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
        kernels=((3, 3, 3),) * 4,
        convolutions=(2, 2, 2, 2),
        **rest,
    )


def parameters_of_plain_nnunet(channels, classes, features, kernel=27, up=8, per_stage=2) -> int:
    """nnU-Net's network counted on paper: weights, biases, and two numbers a channel for norms."""

    def stack(a, b):
        first = a * b * kernel + b + 2 * b
        return first + (per_stage - 1) * (b * b * kernel + b + 2 * b)

    widths = (channels, *features)
    encoder = sum(stack(a, b) for a, b in pairwise(widths))
    decoder = sum(
        (high * low * up + low) + stack(2 * low, low) + (low * classes + classes)
        for low, high in pairwise(features)
    )
    return encoder + decoder


def test_the_parameters_of_the_hippocampus_network_are_those_of_nnunet():
    count = sum(p.numel() for p in hippocampus(deep_supervision=True).parameters())
    assert count == parameters_of_plain_nnunet(1, 3, (32, 64, 128, 256)) == 5603177


def test_without_deep_supervision_only_the_heads_of_coarser_stages_are_missing():
    with_deep = set(hippocampus(deep_supervision=True).state_dict())
    without = set(hippocampus().state_dict())
    missing = {f"heads.{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    assert with_deep - without == missing


@pytest.mark.parametrize("dims", [2, 3])
def test_logits_have_the_size_of_the_image(dims):
    output = build(dims)(torch.randn(2, 2, *SIZES[dims]))
    assert output.logits.shape == (2, 3, *SIZES[dims])
    assert output.deep == ()


def test_deep_logits_come_finest_first_and_only_while_training():
    model = build(3, deep_supervision=True)
    image = torch.randn(1, 2, 8, 8, 6)
    assert [d.shape[2:] for d in model.train()(image).deep] == [(4, 4, 6)]
    assert model.eval()(image).deep == ()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_computes_what_plain_torch_layers_compute(dims):
    """Forward and gradient of the fast path equal the textbook form with torch's own layers."""
    model = build(dims).double()
    image = torch.randn(2, 2, *SIZES[dims], dtype=torch.double)
    weight = torch.randn(2, 3, *SIZES[dims], dtype=torch.double)
    fast = torch.autograd.grad((model(image).logits * weight).sum(), list(model.parameters()))
    plain_logits = textbook(model, image)
    plain = torch.autograd.grad((plain_logits * weight).sum(), list(model.parameters()))
    torch.testing.assert_close(model(image).logits, plain_logits)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b)


def textbook(model: UNet, x: torch.Tensor) -> torch.Tensor:
    def run(stack, x):
        for block in stack:
            x = nn.functional.instance_norm(
                block.convolution(x), weight=block.norm.weight, bias=block.norm.bias
            )
            x = nn.functional.leaky_relu(x, 0.01)
        return x

    skips = []
    for stage in model.encoder:
        x = run(stage, x)
        skips.append(x)
    for i in reversed(range(len(model.up))):
        x = run(model.decoder[i], torch.cat((model.up[i](x), skips[i]), 1))
    return model.heads[0](x)


def test_checkpointing_changes_no_gradient():
    image = torch.randn(1, 2, 8, 8, 6)
    plain, lean = build(3), build(3, checkpointing=True)
    for model in (plain, lean):
        model(image).logits.square().mean().backward()
    for a, b in zip(plain.parameters(), lean.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_biases_start_at_zero_and_weights_by_he():
    model = hippocampus()
    weight = model.encoder[1][1].convolution.weight
    expected = (2 / (1 + 0.01**2) / (64 * 27)) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=0.02)
    assert model.encoder[1][1].convolution.bias.abs().max() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_channels_last_layout_is_told_by_strides_even_with_one_channel(channels):
    image = torch.randn(2, channels, 4, 5, 6)
    laid_out = channels_last(image)
    assert torch.equal(laid_out, image)
    assert laid_out.stride() == (120 * channels, 1, 30 * channels, 6 * channels, channels)


def test_a_size_that_the_strides_do_not_divide_names_the_next_one():
    with pytest.raises(ValueError) as error:
        build(3)(torch.randn(1, 2, 9, 8, 7))
    assert str(error.value) == (
        "image: the size (9, 8, 7) is not divisible by the network's total stride (4, 4, 2). "
        "Fix: pad to (12, 8, 8)."
    )


def test_an_image_of_the_wrong_dimension_is_refused():
    with pytest.raises(ValueError) as error:
        build(3)(torch.randn(1, 2, 8, 8))
    assert str(error.value) == (
        "image: this UNet takes 3 spatial axes, got the shape (1, 2, 8, 8). "
        "Fix: pass (b, c, i, j, k)."
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"features": (4, 6)},
            "UNet: needs one entry per stage, at least two stages; got features 2, strides 3, "
            "kernels 3, convolutions 3.",
        ),
        (
            {"kernels": ((3, 3), (3, 3, 3), (3, 3, 3))},
            "UNet: strides and kernels must all have 2 or all have 3 axes; got [2, 3].",
        ),
        (
            {"strides": ((2, 1, 1), (2, 2, 2), (2, 2, 2))},
            "UNet: the first stride must be all ones; got (2, 1, 1).",
        ),
    ],
)
def test_a_broken_topology_says_what_is_wrong(change, message):
    with pytest.raises(ValueError) as error:
        UNet(2, 3, **(FORMS[3] | change))
    assert str(error.value) == message
