"""RadImageNet's ResNet in the forms in which it is published, as small files of the same names.

A list of layers (also as a whole pickled module), torchvision's names without a head, and Keras.
"""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from delineate.engine.transfer import start_from
from delineate.engine.transfer_report import Report
from delineate.labels import Labels
from delineate.models import ResNet, ResNetUNet

LABELS = Labels.from_names({"Cord": 1, "Lesion": 2})
GREY = ("T2",)
COLOURS = ("red", "green", "blue")
DEPTHS = (18, 34, 50, 101)
NUMBERS = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
TOPOLOGY = {
    "features": (4, 4, 4),
    "strides": ((1, 1), (2, 2), (2, 2)),
    "kernels": ((3, 3),) * 3,
    "convolutions": (1, 1, 1),
}
all_depths = pytest.mark.parametrize("depth", DEPTHS)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ResNet of few channels."""
    monkeypatch.setattr("delineate.models.resnet.WIDTHS", (2, 4, 8, 16))


def theirs(depth: int) -> ResNet:
    """A network for colours whose every number was drawn."""
    network = ResNet(3, 165, spatial_dims=2, depth=depth)
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            low = 0.5 if "running_var" in name else -0.5
            tensor.uniform_(low, low + 1, generator=generator)
    return network.eval()


def start(network: nn.Module, path: Path, channels: tuple[str, ...] = COLOURS) -> Report:
    return start_from(network, path, channels=channels, labels=LABELS)


def features(network: ResNet, image: Tensor) -> Tensor:
    with torch.no_grad():
        return list(network.eval().maps(image))[-1]


def as_layers(network: ResNet, prefix: str) -> dict[str, Tensor]:
    """The list of layers: 0 conv1, 1 bn1, 4 to 7 the four layers; no classifier."""
    return {
        f"{prefix}{NUMBERS[head]}.{rest}": tensor
        for head, _, rest, tensor in (
            (*name.partition("."), tensor) for name, tensor in network.state_dict().items()
        )
        if head in NUMBERS
    }


class Backbone(nn.Module):
    """The published class around the list of layers."""

    def __init__(self, network: ResNet, layers: int) -> None:
        super().__init__()
        parts = [network.conv1, network.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        parts += [network.layer1, network.layer2, network.layer3, network.layer4]
        self.backbone = nn.Sequential(*[*parts, nn.AdaptiveAvgPool2d(1)][:layers])


def all_but_the_head_loaded(report: Report) -> bool:
    left = {row.name for row in report.rows if row.name and row.status != "loaded"}
    return left == {"fc.weight", "fc.bias"}


@all_depths
@pytest.mark.parametrize("prefix", ["backbone.", "module.backbone.", ""])
def test_a_list_of_layers(tmp_path: Path, depth, prefix):
    source, ours = theirs(depth), ResNet(3, 2, spatial_dims=2, depth=depth)
    torch.save(as_layers(source, prefix), tmp_path / "ResNet50.pt")
    report = start(ours, tmp_path / "ResNet50.pt")
    assert all_but_the_head_loaded(report)
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(features(ours, image), features(source, image))


@pytest.mark.parametrize("layers", [8, 9])
def test_a_whole_pickled_module(tmp_path: Path, layers):
    source, ours = theirs(50), ResNet(3, 2, spatial_dims=2, depth=50)
    torch.save(Backbone(source, layers), tmp_path / "ResNet50.pt")
    assert all_but_the_head_loaded(start(ours, tmp_path / "ResNet50.pt"))
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(features(ours, image), features(source, image))


@all_depths
def test_torchvisions_names_without_a_head(tmp_path: Path, depth):
    source, ours = theirs(depth), ResNet(3, 2, spatial_dims=2, depth=depth)
    state = {n: t for n, t in source.state_dict().items() if not n.startswith("fc.")}
    torch.save(state, tmp_path / "RadImageNet-ResNet50_notop.pth")
    assert all_but_the_head_loaded(start(ours, tmp_path / "RadImageNet-ResNet50_notop.pth"))
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(features(ours, image), features(source, image))


KERAS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def keras_layer(module: str) -> str:
    """layer2.1.conv3 is conv3_block2_3_conv; layer2.0.downsample.1 is conv3_block1_0_bn."""
    if module in ("conv1", "bn1"):
        return {"conv1": "conv1_conv", "bn1": "conv1_bn"}[module]
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)", module)
    assert match is not None
    layer, block, kind, number = match.groups()
    if kind == "downsample.":
        kind, number = ("conv", "bn")[int(number)], "0"
    return f"conv{int(layer) + 1}_block{int(block) + 1}_{number}_{kind}"


def write_keras(path: Path, network: ResNet, root: str) -> None:
    with h5py.File(path, "w") as file:
        for name, tensor in network.state_dict().items():
            module, _, leaf = name.rpartition(".")
            if module == "fc" or leaf == "num_batches_tracked":
                continue
            layer, array = keras_layer(module), tensor.numpy()
            if array.ndim == 4:
                file[f"{root}{layer}/{layer}/kernel:0"] = array.transpose(2, 3, 1, 0)
                file[f"{root}{layer}/{layer}/bias:0"] = np.zeros(len(array), np.float32)
            else:
                file[f"{root}{layer}/{layer}/{KERAS[leaf]}:0"] = array


@pytest.mark.parametrize("root", ["", "model_weights/"], ids=["weights", "whole model"])
def test_keras(tmp_path: Path, root):
    source, ours = theirs(50), ResNet(3, 2, spatial_dims=2, depth=50)
    write_keras(tmp_path / "RadImageNet-ResNet50_notop.h5", source, root)
    report = start(ours, tmp_path / "RadImageNet-ResNet50_notop.h5", ("a", "b", "c"))
    left = {row.name for row in report.rows if row.name and row.status == "left"}
    assert {n for n in left if "num_batches" not in n} == {"fc.weight", "fc.bias"}
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(features(ours, image), features(source, image), rtol=1e-3, atol=1e-3)


def test_keras_read_blue_first_and_channels_that_are_called_so_are_put_right(tmp_path: Path):
    source, ours = theirs(50), ResNet(3, 2, spatial_dims=2, depth=50)
    write_keras(tmp_path / "r.h5", source, "")
    start(ours, tmp_path / "r.h5", COLOURS)
    torch.testing.assert_close(ours.conv1.weight, source.conv1.weight.flip(1))


@pytest.mark.parametrize("form", ["layers", "torchvision", "keras"])
def test_every_form_starts_a_segmentation_of_grey_slices(tmp_path: Path, form):
    source = theirs(50)
    path = tmp_path / ("w.h5" if form == "keras" else "w.pt")
    if form == "keras":
        write_keras(path, source, "")
    else:
        layers = as_layers(source, "backbone.")
        torch.save(layers if form == "layers" else source.state_dict(), path)
    ours = ResNetUNet(1, 3, depth=50, **TOPOLOGY)
    report = start(ours, path, GREY)
    grey = source.conv1.weight.sum(1, keepdim=True)
    torch.testing.assert_close(ours.encoder.conv1.weight, grey)
    torch.testing.assert_close(ours.encoder.layer4[2].conv3.weight, source.layer4[2].conv3.weight)
    filled = {row.name for row in report.rows if row.status in ("loaded", "adapted")}
    weights = {name for name, _ in ours.encoder.named_parameters()}
    assert {f"encoder.{name}" for name in weights} <= filled


def test_a_pre_training_of_ones_own_comes_back_with_its_head(tmp_path: Path):
    """From a checkpoint of Lightning, into as many classes."""
    source = ResNet(1, 165, spatial_dims=2, depth=18)
    ours = ResNet(1, 165, spatial_dims=2, depth=18)
    state = {f"model.{n}": t for n, t in source.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    start(ours, tmp_path / "last.ckpt", GREY)
    torch.testing.assert_close(ours.fc.weight, source.fc.weight)
