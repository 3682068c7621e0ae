"""Weights that a network begins with, parts that stand still, and classes of one's own."""

import logging
from pathlib import Path

import pytest
import torch
from spine_trainings import model
from torch import nn

from delineate.errors import ConfigError, DataError
from delineate.models import ResNet
from delineate.systems.spine.networks.beginning import begin_with, frozen_parts
from delineate.systems.spine.networks.choice import build_network
from delineate.systems.spine.schema.bases import BaseLoss, BaseModel
from delineate.systems.spine.schema.own_files import find_own, own_folders
from delineate.systems.spine.schema.settings import Directory


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ResNet of few channels."""
    monkeypatch.setattr("delineate.models.resnet.WIDTHS", (2, 4, 8, 16))


def begun(folder: Path, asked, network: nn.Module, channels: int = 1):
    directory = Directory(weights=folder)
    return begin_with(network, asked, directory, channels=channels, beside=folder)


@pytest.mark.parametrize("form", ["layers", "names", "module"])
def test_radimagenet_is_the_beginning_of_a_classifier_and_of_an_encoder(tmp_path: Path, form: str):
    theirs = ResNet(3, 165, spatial_dims=2, depth=18)
    path = tmp_path / "ResNet18.pt"
    children = list(theirs.named_children())
    if form == "layers":
        # As published: a Sequential, the ReLU and the pooling counted, and no head.
        numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
        state = {
            f"backbone.{numbers[name]}.{inner}": weight
            for name, child in children
            if name in numbers
            for inner, weight in child.state_dict().items()
        }
        torch.save(state, path)
    else:
        torch.save(theirs if form == "module" else theirs.state_dict(), path)
    asked = model("ResNet", size="18", num_classes=4, pretrained="ResNet18.pt")
    ours = build_network(asked, task="classification", classes=4, seed=0).network
    report = begun(tmp_path, asked, ours, 4)
    assert torch.equal(ours.layer3[0].conv1.weight, theirs.layer3[0].conv1.weight)
    torch.testing.assert_close(ours.conv1.weight, theirs.conv1.weight.sum(1, keepdim=True))
    assert report.share("loaded", "adapted") > 0.9
    asked = model("ResNetUNet", depth=18, features=[4] * 5, pretrained=str(path), freeze=True)
    ours = build_network(asked, task="segmentation", classes=0, seed=0).network
    begun(tmp_path, asked, ours)
    assert frozen_parts(ours, asked) == ("network.encoder",)
    ours = ours.network
    assert torch.equal(ours.encoder.layer3[0].conv1.weight, theirs.layer3[0].conv1.weight)


def test_what_is_no_beginning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    network = nn.Conv2d(1, 1, 1)
    assert begun(tmp_path, model(pretrained=None), network) is None
    assert begun(tmp_path, model(pretrained=False), network) is None
    with caplog.at_level(logging.WARNING, "delineate"):
        assert begun(tmp_path, model(pretrained="D:\\weights\\a.ckpt"), network) is None
    assert "a path of Windows: skipped" in caplog.text
    with pytest.raises(DataError, match=r"a\.pt: no such file; looked for:"):
        begun(tmp_path, model(pretrained="a.pt"), network)
    with pytest.raises(ConfigError, match="no published weights of UNET"):
        begun(tmp_path, model(pretrained=True), network)
    torch.save({"other.weight": torch.zeros(7)}, tmp_path / "b.pt")
    with pytest.raises(DataError, match=r"b\.pt: .*only 0\.0 %"):
        begun(tmp_path, model(pretrained="b.pt"), network)


def test_all_but_the_head_stands_still():
    asked = model("ResNet", size="18", freeze=True)
    network = build_network(asked, task="classification", classes=3, seed=0).network
    assert frozen_parts(network, asked) == ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
    asked = model("UNET", features=2, depth=1, freeze=True)
    network = build_network(asked, task="segmentation", classes=0, seed=0).network
    assert frozen_parts(network, asked) == ("stem", "encoder")
    with pytest.raises(ConfigError, match="no part called"):
        frozen_parts(nn.Sequential(nn.Linear(1, 1)), asked)


def test_a_class_of_ones_own_is_found_by_its_name_or_by_that_of_its_file(tmp_path: Path):
    folder = tmp_path / "ml_framework" / "custom" / "models"
    folder.mkdir(parents=True)
    (folder / "my_net.py").write_text(
        "from ml_framework.base.model import BaseModel\n"
        "from beside import WIDTH\n"
        "class Inner(BaseModel): pass\n"
        "class MyNet(Inner):\n    width = WIDTH\n"
    )
    (folder / "beside.py").write_text("WIDTH = 3\n")
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    (folder / "two.py").write_text(
        "from ml_framework.base.loss import BaseLoss\n"
        "class A(BaseLoss): pass\nclass B(BaseLoss): pass\n"
    )
    folders = own_folders(None, tmp_path)
    assert find_own("MyNet", folders, BaseModel).width == 3
    assert find_own("my_net", folders, BaseModel) is find_own("MyNet", folders, BaseModel)
    assert find_own("Other", folders, BaseModel) is None
    assert find_own("B", folders, BaseLoss).__name__ == "B"
    with pytest.raises(ConfigError, match=r"two\.py: 'two' wants one BaseLoss .* A, B"):
        find_own("two", folders, BaseLoss)
    with pytest.raises(ConfigError, match=r"broken\.py cannot be imported: ModuleNotFoundError"):
        find_own("broken", folders, BaseModel)
