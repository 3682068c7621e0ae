"""Documented sizes, gradients beside the image or in it, and what the weighing does."""

import pytest
import torch
import torch.nn.functional as F

from delineate.models import MorphogenAugmentedViTGNN

SMALL = {
    "embed_dim": 16,
    "vit_layers": 1,
    "num_heads": 2,
    "mlp_dim": 24,
    "patch_size": 4,
    "width": 8,
}


def build(inputs=4, outputs=3, **rest):
    torch.manual_seed(0)
    return MorphogenAugmentedViTGNN(inputs, outputs, **SMALL, **rest).eval()


@pytest.mark.parametrize(
    ("outputs", "arguments", "expected"),
    [
        (16, {"mlp_dim": 3072}, 85_362_178),
        (
            6,
            {"embed_dim": 256, "vit_layers": 2, "gnn_layers": 1, "num_heads": 4, "mlp_dim": 1024},
            13_327_854,
        ),
    ],
)
def test_the_documented_forms_have_the_documented_numbers_of_weights(outputs, arguments, expected):
    with torch.device("meta"):
        network = MorphogenAugmentedViTGNN(4, outputs, graph="raster", **arguments)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize("size", [(8, 12), (8, 4, 6)])
def test_gradients_beside_the_image_and_as_its_last_channels_are_the_same(size):
    network = build(5, spatial_dims=len(size))
    image, morphogen = torch.randn(2, 2, *size), torch.rand(2, 3, *size)
    apart = network(image, morphogen).logits
    assert apart.shape == (2, 3, *size)
    torch.testing.assert_close(apart, network(torch.cat((image, morphogen), 1)).logits)


def test_it_is_a_vit_gnn_of_weighed_channels():
    network = build()
    image, morphogen = torch.randn(2, 1, 8, 8, 4), torch.rand(2, 3, 8, 8, 4)
    first, second = network.processor[0], network.processor[2]
    assert (first.out_channels, second.out_channels) == (6, 3)
    hidden = F.relu(F.conv3d(morphogen, first.weight, first.bias, padding=1))
    prior = 0.3 * F.conv3d(hidden, second.weight, second.bias, padding=1).sigmoid()
    seen = torch.cat((image, prior), 1)
    down, up = network.attention[0], network.attention[2]
    weights = up(F.relu(down(F.adaptive_avg_pool3d(seen, 1)[..., 0, 0, 0]))).sigmoid()
    expected = network.network(seen * weights[..., None, None, None]).logits
    torch.testing.assert_close(network(image, morphogen).logits, expected)


def test_every_weight_learns_and_what_is_recomputed_is_told_to_the_network():
    network = build().train()
    output = network(torch.randn(1, 4, 8, 8, 8))
    sum(x.square().sum() for x in (output.logits, *output.deep)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.checkpointing = True
    assert network.network.checkpointing


def test_without_room_for_gradients_it_is_refused():
    with pytest.raises(ValueError) as error:
        build(3)
    assert str(error.value) == (
        "MorphogenAugmentedViTGNN: in_channels is 3. Fix: an image of one channel or more and 3 "
        "gradients beside it, or take ViTGNN."
    )
    with pytest.raises(ValueError) as error:
        build()(torch.zeros(1, 2, 4, 4, 4), torch.zeros(1, 3, 4, 4, 4))
    assert str(error.value) == (
        "MorphogenAugmentedViTGNN: 2 channels of an image and 3 of gradients, where 1 and 3 are "
        "taken. Fix: AP, DV and ML beside the image, or as its last channels."
    )
