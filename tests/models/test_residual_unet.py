"""The residual encoder against nnU-Net's published counts, textbook layers, and nnU-Net itself."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models import ResidualUNet, UNet

FLAT, CUBE = (1, 3, 3), (3, 3, 3)
PUBLISHED = {
    "4 channels, 6 stages": (
        (4, 4, 6, 320, ((1, 1, 1), *((2, 2, 2),) * 5), (CUBE,) * 6),
        31_199_796,
        102_353_972,
    ),
    "hippocampus": (
        (1, 3, 4, 320, ((1, 1, 1), *((2, 2, 2),) * 3), (CUBE,) * 4),
        5_603_177,
        25_895_593,
    ),
    "prostate, thick slices": (
        (
            2,
            3,
            6,
            320,
            ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
            (FLAT, FLAT, *(CUBE,) * 4),
        ),
        30_340_047,
        101_273_039,
    ),
    "pictures, 8 stages": (
        (1, 2, 8, 512, ((1, 1), *((2, 2),) * 7), ((3, 3),) * 8),
        46_324_558,
        140_017_038,
    ),
}
"""Parameters of PlainConvUNet and ResidualEncoderUNet of dynamic_network_architectures 0.4.4, as
nnU-Net 2.8.1 builds them: channels, classes, stages, most features, strides, kernels."""

FORMS = {
    2: ((4, 8, 8), ((1, 1), (2, 2), (2, 1)), ((3, 3),) * 3, (16, 12)),
    3: ((4, 6, 6), ((1, 1, 1), (2, 2, 1), (2, 2, 2)), ((3, 3, 1), CUBE, CUBE), (16, 16, 8)),
}


def build(dims, **rest) -> ResidualUNet:
    torch.manual_seed(0)
    features, strides, kernels, _ = FORMS[dims]
    return ResidualUNet(2, 3, features=features, strides=strides, kernels=kernels, **rest)


def stir(network):
    """Norms away from where they start, which hides half of a residual network."""
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 1, 0.2)
    return network


@pytest.mark.parametrize(("form", "plain", "residual"), PUBLISHED.values(), ids=PUBLISHED)
def test_the_parameters_are_as_many_as_nnunets(form, plain, residual):
    channels, classes, stages, most, strides, kernels = form
    features = [min(32 * 2**i, most) for i in range(stages)]
    shape = {"features": features, "strides": strides, "kernels": kernels, "deep_supervision": True}

    with torch.device("meta"):
        networks = (
            UNet(channels, classes, convolutions=(2,) * stages, **shape),
            ResidualUNet(channels, classes, **shape),
        )

    assert [sum(p.numel() for p in n.parameters()) for n in networks] == [plain, residual]


@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_computes_what_plain_torch_layers_compute(dims):
    network = stir(build(dims)).double()
    image = torch.randn(2, 2, *FORMS[dims][3], dtype=torch.double)

    ours, reference = network(image).logits, textbook(network, image)

    torch.testing.assert_close(ours, reference)
    parameters = list(network.parameters())
    weight = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), parameters),
        torch.autograd.grad((reference * weight).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def textbook(network: ResidualUNet, x: torch.Tensor) -> torch.Tensor:
    def normed(norm, x):
        return F.instance_norm(x, weight=norm.weight, bias=norm.bias)

    def plain(block, x):
        return F.leaky_relu(normed(block.norm, block.convolution(x)), 0.01)

    def residual(block, x, stride):
        around = x
        if any(s > 1 for s in stride):
            around = (F.avg_pool2d if x.dim() == 4 else F.avg_pool3d)(x, stride)
        *_, convolution, norm = (None, None, *block.skip)
        if len(norm_parameters := list(block.skip.parameters())) > 0:
            assert len(norm_parameters) == 3  # a convolution without bias, and its norm
            around = normed(norm, convolution(around))
        y = normed(block.norm, block.second(plain(block.first, x)))
        return F.leaky_relu(y + around, 0.01)

    dims = x.dim() - 2
    strides, skips = FORMS[dims][1], []
    for i, stage in enumerate(network.encoder):
        blocks = list(stage)
        if i == 0:
            x = plain(blocks.pop(0), x)
        for j, block in enumerate(blocks):
            x = residual(block, x, strides[i] if j == 0 else strides[0])
        skips.append(x)
    for i in (1, 0):
        (block,) = network.decoder[i]
        x = plain(block, torch.cat((network.up[i](x), skips[i]), 1))
    return network.heads[0](x)


def test_the_blocks_grow_by_the_rule_with_the_depth():
    network = ResidualUNet(
        1,
        2,
        features=(4,) * 6,
        strides=((1, 1), *((2, 2),) * 5),
        kernels=((3, 3),) * 6,
    )

    assert [len(stage) for stage in network.encoder] == [1 + 1, 3, 4, 6, 6, 6]
    assert [len(stage) for stage in network.decoder] == [1] * 5


def test_each_block_starts_as_the_way_around_it():
    block = build(3).encoder[1][1]
    x = torch.randn(1, 6, 4, 4, 4)

    torch.testing.assert_close(block(x), F.leaky_relu(x, 0.01))


def test_a_block_leaves_its_input_as_it_is():
    block = build(3).encoder[1][1]
    x = torch.randn(1, 6, 4, 4, 4)
    before = x.clone()

    block(x)

    assert torch.equal(x, before)


def test_no_convolution_with_a_kernel_of_one_has_a_stride():
    """PyTorch 2.13 corrupts memory in the gradient of those on channels-last pictures."""
    for dims in (2, 3):
        for part in build(dims).modules():
            if isinstance(part, nn.Conv2d | nn.Conv3d) and max(part.kernel_size) == 1:
                assert max(part.stride) == 1


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_with_nnunets_weights_the_logits_are_nnunets(dims, kind):
    theirs = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    features, strides, kernels, size = FORMS[dims]
    residual = kind == "ResidualEncoderUNet"
    reference = stir(
        getattr(theirs, kind)(
            2,
            3,
            features,
            {2: nn.Conv2d, 3: nn.Conv3d}[dims],
            kernels,
            strides,
            (1, 3, 4) if residual else (2, 2, 2),
            3,
            (1, 1) if residual else (2, 2),
            conv_bias=True,
            norm_op={2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[dims],
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            deep_supervision=True,
        )
    )
    shape = {"features": features, "strides": strides, "kernels": kernels, "deep_supervision": True}
    ours = ResidualUNet(2, 3, **shape) if residual else UNet(2, 3, convolutions=(2, 2, 2), **shape)
    pairs = [(reference.encoder, ours.encoder)]
    for i in range(2):  # their decoder counts from the coarsest stage
        pairs += [
            (reference.decoder.transpconvs[1 - i], ours.up[i]),
            (reference.decoder.stages[1 - i], ours.decoder[i]),
            (reference.decoder.seg_layers[1 - i], ours.heads[i]),
        ]
    with torch.no_grad():
        for source, target in pairs:
            for a, b in zip(source.parameters(), target.parameters(), strict=True):
                b.copy_(a)
    image = torch.randn(2, 2, *size)

    output = ours(image)

    for a, b in zip((output.logits, *output.deep), reference(image), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
