"""Networks by the names and keys of an experiment."""

import logging
from importlib.util import find_spec

import pytest
import torch
from spine_trainings import model

from delineate.errors import ConfigError, MissingExtra
from delineate.systems.spine.networks.choice import NAMES, build_network
from delineate.systems.spine.networks.memory_saving import save_memory

COUNTS = {6: 273_929, 8: 486_419, 10: 759_501, 12: 1_093_175, 14: 1_487_441, 16: 1_942_299}


def built(name: str, task: str = "segmentation", classes: int = 3, **keys):
    return build_network(model(name, **keys), task=task, classes=classes, seed=0)


def weights(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("features", "count"), COUNTS.items())
def test_a_unet_has_the_published_number_of_weights(features: int, count: int):
    keys = {"in_channels": 1, "out_channels": 1, "depth": 4, "features": features}
    assert weights(built("UNET", use_batch_norm=True, **keys).network) == count


def test_every_documented_network_draws_masks_of_the_size_of_any_slice():
    for name in ("UNET", "AttentionUNET", "DUCKNet", "STAMPUNet", "ImproveSTAMPUNet"):
        found = built(name, init_features=4, depth=2, out_activation="sigmoid", pretrained=None)
        image = torch.rand(1, 1, 21, 30)
        assert found.network.eval()(image).logits.shape == (1, 1, 21, 30)
    both = built("MultiTaskUNET", features=4, depth=2, out_channels=2).network(
        torch.rand(1, 1, 8, 9)
    )
    assert both.logits.shape == (1, 2, 8, 9)
    assert both.presence.shape == (1, 2)


def test_keys_have_their_effect():
    plain = weights(built("UNET", features=4, depth=2).network)
    assert weights(built("UNET", features=4, depth=3).network) > plain
    normed = [built(n, features=4, depth=2, use_batch_norm=True) for n in ("UNET", "AttentionUNET")]
    assert weights(normed[0].network) > plain
    assert weights(normed[1].network) == weights(
        built("AttentionUNET", features=4, depth=2).network
    )
    assert (
        weights(built("AttentionUNET", features=4, depth=2, use_batch_norm=False).network) > plain
    )
    silent = built("UNET", features=4, depth=2, dropout=0.5).network
    assert {p.p for p in silent.modules() if isinstance(p, torch.nn.Dropout2d)} == {0.5}
    even, xavier = (built("UNET", features=4, use_xavier=x).network for x in (False, True))
    kernel = xavier.encoder[0][0].convolution.weight
    bound = (6 / (9 * (1 + 4))) ** 0.5
    assert kernel.abs().max() <= bound
    assert not torch.equal(kernel, even.encoder[0][0].convolution.weight)


def test_the_first_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    one = built("UNET", features=4).network.head.weight
    torch.manual_seed(2)
    assert torch.equal(one, built("UNET", features=4).network.head.weight)


def test_a_resnet_of_a_size_tells_classes():
    found = built("ResNet", "classification", size="18", num_classes=5, freeze=False)
    assert found.network.eval()(torch.rand(2, 1, 32, 32)).presence.shape == (2, 5)
    with pytest.raises(ConfigError, match=r"size is 19\. Fix: one of 18, 34, 50, 101"):
        built("ResNet", "classification", size="19")
    with pytest.raises(ConfigError, match="num_classes is 2, but the data have 3 classes"):
        built("ResNet", "classification", num_classes=2)


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is there")
def test_timm_is_asked_for_where_it_is_absent():
    with pytest.raises(MissingExtra, match=r"delineate\[timm\]"):
        built("EfficientVit_MSRA", "classification", size="m5")


def test_networks_of_timm_are_there_by_their_sizes():
    pytest.importorskip("timm")
    image = torch.rand(2, 1, 224, 224)
    for name, size in (
        ("EfficientVit_MSRA", "m0"),
        ("RepVit", "m1_0"),
        ("MobileNetV4", "hybrid_medium_224"),
    ):
        found = built(name, "classification", size=size, pretrained=False).network
        assert found.eval()(image).shape == (2, 3)
    with pytest.raises(ConfigError, match="size 'm9' is unknown"):
        built("EfficientVit_MSRA", "classification", size="m9")


def test_unknown_names_and_keys_are_told(caplog: pytest.LogCaptureFixture):
    with pytest.raises(ConfigError, match=r"unknown\. Did you mean 'AttentionUNET'") as told:
        built("AtentionUNET")
    assert all(name in str(told.value) for name in NAMES)
    with pytest.raises(ConfigError, match=r"unknown argument 'featurs'\. Did you mean 'features'"):
        built("UNET", featurs=3)
    with pytest.raises(ConfigError, match=r"model AttentionUNET: depth wants .*, got '3'"):
        built("AttentionUNET", depth="3")
    with pytest.raises(ConfigError, match="unknown argument 'attention'"):
        built("UNET", attention=True)
    with pytest.raises(ConfigError, match="features and init_features are one"):
        built("UNET", features=3, init_features=3)
    with caplog.at_level(logging.WARNING, "delineate"):
        built("DUCKNet", depth=1, init_features=2, use_batch_norm=True)
    assert "model DUCKNet: use_batch_norm without effect" in caplog.text


def test_networks_of_the_package_are_there_by_their_own_names():
    found = built("ResNetUNet", depth=18, in_channels=1)
    assert found.network.eval()(torch.rand(1, 1, 40, 33)).logits.shape == (1, 1, 40, 33)


@pytest.mark.parametrize("name", ["UNET", "ResNet"])
def test_recomputing_changes_neither_gradients_nor_running_averages(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("delineate.models.resnet.WIDTHS", (2, 4, 8, 16))
    keys = {"UNET": {"features": 4, "depth": 2, "use_batch_norm": True, "dropout": 0.3},
            "ResNet": {"size": 18, "stem": "small"}}[name]  # fmt: skip
    task = "segmentation" if name == "UNET" else "classification"
    image, states = torch.rand(2, 1, 8, 8), []
    for spare in (False, True):
        network = built(name, task, **keys).network.train()
        if spare:
            save_memory(network)
        torch.manual_seed(0)
        out = network(image)
        ((out.logits if out.presence is None else out.presence) ** 2).sum().backward()
        grads = [p.grad for p in network.parameters()]
        states.append([*grads, *network.buffers()])
    for one, other in zip(*states, strict=True):
        torch.testing.assert_close(one, other)
