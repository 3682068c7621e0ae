"""ResNet against torchvision: parameter counts, names, values."""

import pytest
import torch

from delineate.models import ResNet
from delineate.models.resnet import ResNetEncoder

PUBLISHED = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160}
"""torchvision's counts for 3 channels and 1000 classes."""
ENTRIES = {18: 122, 34: 218, 50: 320, 101: 626}
"""Tensors in torchvision's files."""


def build(depth=18, dims=2, **rest) -> ResNet:
    torch.manual_seed(0)
    return ResNet(1, 3, spatial_dims=dims, depth=depth, **rest)


@pytest.mark.parametrize("depth", PUBLISHED)
def test_parameters_and_names_are_those_of_torchvision(depth):
    with torch.device("meta"):
        model = ResNet(3, 1000, spatial_dims=2, depth=depth)
    state = model.state_dict()
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[depth]
    assert len(state) == ENTRIES[depth]
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    width = 512 if depth < 50 else 2048
    assert state["layer4.0.downsample.0.weight"].shape == (width, width // 2, 1, 1)
    assert state["layer4.0.downsample.1.running_var"].shape == (width,)
    assert state["fc.weight"].shape == (1000, width)


@pytest.mark.parametrize("depth", [18, 50])
def test_torchvision_computes_the_same_from_the_same_weights(depth):
    models = pytest.importorskip("torchvision.models")
    theirs = getattr(models, f"resnet{depth}")(weights=None).eval()
    ours = ResNet(3, 1000, spatial_dims=2, depth=depth).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(image).presence, theirs(image), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("dims", "depth", "stem"), [(2, 50, "large"), (3, 18, "large"), (2, 34, "small")]
)
def test_a_classifier_puts_out_logits_of_the_image_and_no_mask(dims, depth, stem):
    output = build(depth, dims, stem=stem)(torch.randn(2, 1, *(21, 16, 17)[:dims]))
    assert output.logits is None
    assert output.presence.shape == (2, 3)


def test_the_encoder_has_the_classifiers_weights_and_five_resolutions():
    encoder = ResNetEncoder(1, depth=18, strides=((2, 2),) * 5)
    assert set(build().state_dict()) - set(encoder.state_dict()) == {"fc.weight", "fc.bias"}
    maps = encoder(torch.randn(2, 1, 64, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 32, 16),
        (64, 16, 8),
        (128, 8, 4),
        (256, 4, 2),
        (512, 2, 1),
    ]


def test_the_small_stem_keeps_the_resolution_up_to_layer_2():
    *_, coarsest = build(stem="small").maps(torch.randn(1, 1, 16, 24))
    assert coarsest.shape == (1, 512, 2, 3)


def test_strides_change_no_weight():
    with torch.device("meta"):
        plain = ResNetEncoder(1, depth=18, strides=((2, 2, 2),) * 5).state_dict()
        flat = ResNetEncoder(1, depth=18, strides=((2, 2, 1),) * 5).state_dict()
    assert {n: w.shape for n, w in plain.items()} == {n: w.shape for n, w in flat.items()}
