"""Networks by their documented names, ours and others', for images of any size."""

import pytest
import torch
from liver_toys import settings

from delineate import models
from delineate.errors import ConfigError, DataError
from delineate.models import as_output
from delineate.models.any_size import AnySize
from delineate.systems.liver.networks import SegNetwork, make_network, network_of

SMALL = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}


@pytest.mark.parametrize(("name", "dims"), [("dformer3d", 3), ("dformer2d", 2)])
def test_a_dformer_has_as_many_outputs_as_there_are_classes(name, dims):
    network = make_network(name, in_channels=2, num_classes=5, **SMALL).eval()
    assert isinstance(network, models.DFormer)
    image = torch.randn(1, 2, *(6, 13, 9)[:dims])
    assert network(image).logits.shape == (1, 5, *image.shape[2:])


def test_the_documented_arguments_are_those_of_the_network():
    network = SegNetwork(3, 1, 8, (1, 1), (1, 2), (2, 4, 4), (2, 8, 8), False, None)
    assert isinstance(network, models.DFormer)
    assert len(network.heads) == 1
    assert SegNetwork(num_classes=3, in_chan=1, **SMALL).embed.patch == (2, 4, 4)


@pytest.mark.parametrize("size", [(32, 32, 32), (10, 19, 33)])
def test_a_unet_takes_images_of_any_size_while_training(size):
    torch.manual_seed(0)
    network = make_network("UNet", in_channels=1, num_classes=3, deep_supervision=True, **UNET)
    output = network(torch.randn(1, 1, *size))
    assert output.logits.shape == (1, 3, *size)
    assert [tuple(d.shape[2:]) for d in output.deep] == [tuple(-(-n // 2) for n in size)]


UNET = {
    "features": [4, 6, 8],
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "kernels": [[3, 3, 3]] * 3,
    "convolutions": [1, 1, 1],
}


def test_padding_changes_nothing_where_a_size_fits():
    inner = make_network("UNet", in_channels=1, num_classes=2, **UNET).eval()
    assert isinstance(inner, AnySize)
    image = torch.randn(1, 1, 8, 4, 4)
    assert torch.equal(inner(image).logits, inner.network(image).logits)


def test_the_first_weights_are_a_function_of_the_seed_and_disturb_no_other_chance(tmp_path):
    config = settings(tmp_path, model_params=SMALL)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, other = network_of(config), network_of(config)
    assert torch.equal(torch.rand(3), expected)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    config.seed = 7
    another = network_of(config).embed.convolution.weight
    assert not torch.equal(another, one.embed.convolution.weight)


def test_a_network_of_another_package_is_named_in_full():
    name = "torchvision_like.nets.Net"
    with pytest.raises(ConfigError, match="torchvision_like"):
        make_network(name, in_channels=1, num_classes=2)
    network = make_network("liver_toys.Tiny", in_channels=1, num_classes=4, classes=4)
    assert as_output(network(torch.randn(1, 1, 4, 4, 4))).logits.shape[1] == 4


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("dformr3d", {}, "'dformr3d' is unknown. Did you mean 'dformer3d'.*There are: dformer3d"),
        ("dformer3d", {"embed_dims": 8}, "unknown argument 'embed_dims'. Did you mean 'embed_dim'"),
        ("dformer3d", {"embed_dim": "8"}, "embed_dim wants a whole number, got '8'"),
        ("dformer3d", {**SMALL, "num_heads": [3, 3]}, "3 heads cannot share"),
        ("unet3d", {"wide": 1}, "unknown argument 'wide'"),
    ],
)
def test_what_cannot_be_built_is_told(name, params, message):
    with pytest.raises(ConfigError, match=message):
        make_network(name, in_channels=1, num_classes=2, **params)


def test_a_volume_network_begins_with_the_weights_of_a_plane(tmp_path):
    flat = make_network("dformer2d", in_channels=1, num_classes=3, **SMALL)
    path = tmp_path / "flat.pt"
    torch.save(flat.state_dict(), path)
    deep = SegNetwork(3, 1, **SMALL, pretrain=str(path))
    for name, weight in flat.state_dict().items():
        if ".blocks." in name:
            assert torch.equal(deep.state_dict()[name], weight), name
    torch.save({"other": torch.zeros(3, 3)}, path)
    with pytest.raises(DataError, match=r"pretrain: .*flat.pt"):
        SegNetwork(3, 1, **SMALL, pretrain=str(path))
