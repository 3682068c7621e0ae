"""SegResNet against MONAI's published counts, textbook layers, and MONAI itself."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models import SegResNet


def build(dims, width, channels=1, classes=2, stages=4, **rest) -> SegResNet:
    return SegResNet(
        channels,
        classes,
        features=[width * 2**i for i in range(stages)],
        strides=[(1,) * dims, *[(2,) * dims] * (stages - 1)],
        kernels=[(3,) * dims] * stages,
        **rest,
    )


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"dims": 3, "width": 8}, 1_176_186),
        ({"dims": 3, "width": 32, "channels": 4, "classes": 3}, 18_798_627),
        ({"dims": 2, "width": 16, "channels": 3}, 1_576_690),
        ({"dims": 3, "width": 8, "stages": 5}, 5_167_994),
    ],
    ids=["MONAI's default", "BraTS", "pictures", "five stages"],
)
def test_the_parameters_are_as_many_as_monais(settings, count):
    """Of monai.networks.nets.SegResNet, MONAI 1.6.1, with init_filters, blocks_down, blocks_up."""
    with torch.device("meta"):
        network = build(**settings)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_computes_what_plain_torch_layers_compute(dims):
    torch.manual_seed(0)
    network = stir(build(dims, 8, stages=3)).double()
    image = torch.randn(2, 1, *(8,) * dims, dtype=torch.double)

    ours, reference = network(image).logits, textbook(network, image)

    torch.testing.assert_close(ours, reference)
    weights = list(network.parameters())
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), weights),
        torch.autograd.grad(reference.square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def stir(network):
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 0.5, 0.3)
    return network


def textbook(network: SegResNet, x: torch.Tensor) -> torch.Tensor:
    mode = "bilinear" if x.dim() == 4 else "trilinear"

    def before(norm, x):
        return F.relu(F.group_norm(x, 8, norm.weight, norm.bias))

    def block(part, x):
        return x + part.conv2(before(part.norm2, part.conv1(before(part.norm1, x))))

    skips = []
    for convolution, *blocks in network.encoder:
        x = convolution(x)
        for part in blocks:
            x = block(part, x)
        skips.append(x)
    for i in (1, 0):
        up = F.interpolate(network.up[i](x), scale_factor=2, mode=mode, align_corners=False)
        x = block(network.decoder[i], up + skips[i])
    norm, convolution = network.heads[0]
    return convolution(before(norm, x))


def test_the_blocks_are_the_papers_and_deeper_stages_repeat_the_last():
    network = build(2, 8, stages=6)

    assert [len(stage) - 1 for stage in network.encoder] == [1, 2, 2, 4, 4, 4]


def test_features_must_fill_the_groups():
    with pytest.raises(ValueError) as error:
        build(3, 12, stages=2)
    assert str(error.value) == (
        "SegResNet: features must be multiples of 8, the groups of its normalisation; "
        "got (12, 24). Fix: plan.width=16 or 32."
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_with_monais_weights_the_logits_are_monais(dims):
    nets = pytest.importorskip("monai.networks.nets")
    torch.manual_seed(0)
    reference = stir(nets.SegResNet(spatial_dims=dims))
    ours = build(dims, 8)
    pairs = [
        (reference.convInit, ours.encoder[0][0]),
        *((down, stage) for down, stage in zip(reference.down_layers, ours.encoder, strict=True)),
        *zip(reference.up_samples, reversed(ours.up), strict=True),
        *(
            (up[0], block)
            for up, block in zip(reference.up_layers, ours.decoder[::-1], strict=True)
        ),
        (reference.conv_final, ours.heads[0]),
    ]
    with torch.no_grad():
        for theirs, part in pairs:
            source = dict(sorted(theirs.named_parameters()))
            target = dict(sorted(part.named_parameters()))
            if theirs is reference.down_layers[0]:  # its first convolution is convInit
                target.pop("0.weight")
            for a, b in zip(source.values(), target.values(), strict=True):
                b.copy_(a)
    image = torch.randn(2, 1, *(16,) * dims)

    torch.testing.assert_close(ours(image).logits, reference(image), atol=1e-4, rtol=1e-4)
