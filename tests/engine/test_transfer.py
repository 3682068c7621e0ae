import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from delineate.engine.adaptation import Ends
from delineate.engine.foreign_weights import Source
from delineate.engine.transfer import start_from, transfer
from delineate.engine.weights import save_weights
from delineate.errors import DataError
from delineate.labels import Labels
from delineate.models import ResNet, UNet
from delineate.models.residual_unet import ResidualUNet
from delineate.models.resnet_unet import ResNetUNet

LABELS = Labels.from_names({"Anterior": 1, "Posterior": 2})
OTHERS = Labels.from_names({"Posterior": 1, "Lesion": 2, "Anterior": 3})
CHANNELS = ("T1", "T2")
FLAT = {
    "features": (4, 8, 12),
    "strides": ((1, 1, 1), (2, 2, 1), (2, 2, 2)),
    "kernels": ((3, 3, 1), (3, 3, 3), (3, 3, 3)),
}


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def random(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.2, generator=generator)
    return network


def plain(channels: int = 2, classes: int = 3, *, deep: bool = True) -> UNet:
    return UNet(channels, classes, convolutions=(2, 2, 2), deep_supervision=deep, **FLAT)


def logits(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(image).logits


def as_nnunet(state: dict[str, Tensor], stages: int) -> dict[str, Tensor]:
    """A plain U-Net of ours as nnU-Net names it, its kernels along (z, y, x), doubles included."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        part, i, *rest, leaf = name.split(".")
        turned = tensor.permute(0, 1, 4, 3, 2).contiguous() if tensor.dim() == 5 else tensor
        step = stages - 2 - int(i)
        if part in ("up", "heads"):
            kind = {"up": "transpconvs", "heads": "seg_layers"}[part]
            found[f"decoder.{kind}.{step}.{leaf}"] = turned
            continue
        layer = {"convolution": "conv", "norm": "norm"}[rest[1]]
        place = f"encoder.stages.{i}.0" if part == "encoder" else f"decoder.stages.{step}"
        for before in ("", "decoder.") if part == "encoder" else ("",):
            found[f"{before}{place}.convs.{rest[0]}.{layer}.{leaf}"] = turned
            number = 0 if layer == "conv" else 1
            found[f"{before}{place}.convs.{rest[0]}.all_modules.{number}.{leaf}"] = turned
    return found


def nnunet_file(path: Path, state: dict[str, Tensor], **more: object) -> Path:
    dataset = {
        "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
        "channel_names": {"0": "T1", "1": "T2"},
    }
    args = {"dataset_json": dataset, "plans": {"transpose_forward": [0, 1, 2]}, "fold": 0}
    torch.save({"network_weights": state, "init_args": args, "current_epoch": 9, **more}, path)
    return path


def test_a_checkpoint_of_nnunet_computes_the_same_here(tmp_path: Path):
    theirs, ours, image = random(plain()), plain(), torch.randn(1, 2, 16, 16, 8)
    state = as_nnunet(theirs.state_dict(), stages=3)
    report = start_from(
        ours, nnunet_file(tmp_path / "c.pth", state), channels=CHANNELS, labels=LABELS
    )
    torch.testing.assert_close(logits(ours, image), logits(theirs, image))
    assert report.share("loaded") == 1
    assert {row.status for row in report.rows} == {"loaded"}, "doubles are not counted"


def test_what_is_planted_in_a_checkpoint_does_not_run(tmp_path: Path):
    target = tmp_path / "ran"
    state = as_nnunet(random(plain()).state_dict(), stages=3)
    path = nnunet_file(tmp_path / "c.pth", state, logging=Bomb(target))
    start_from(plain(), path, channels=CHANNELS, labels=LABELS)
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists(), "the plant is real"


def test_other_classes_and_channels_of_a_checkpoint_go_by_name(tmp_path: Path):
    theirs, ours = random(plain()), random(plain(channels=1, classes=4, deep=False))
    path = nnunet_file(tmp_path / "c.pth", as_nnunet(theirs.state_dict(), stages=3))
    fresh = ours.heads[0].weight[2].clone()
    report = start_from(ours, path, channels=("t2",), labels=OTHERS)
    head = theirs.heads[0].weight
    assert torch.equal(ours.heads[0].weight, torch.stack((head[0], head[2], fresh, head[1])))
    first = ours.encoder[0][0].convolution.weight
    assert torch.equal(first, theirs.encoder[0][0].convolution.weight[:, [1]])
    assert {row.name: row.note for row in report.rows if row.status == "adapted"} == {
        "encoder.0.0.convolution.weight": "channels 2 to 1 by name",
        "heads.0.weight": "classes by name, fresh: Lesion",
        "heads.0.bias": "classes by name, fresh: Lesion",
    }
    unused = [row.source for row in report.rows if row.name is None]
    assert unused == ["decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"]


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual encoder"])
def test_networks_of_nnunet_itself_compute_the_same_here(tmp_path: Path, residual: bool):
    architectures = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    shape = {
        "features_per_stage": FLAT["features"],
        "conv_op": nn.Conv3d,
        "kernel_sizes": [kernel[::-1] for kernel in FLAT["kernels"]],
        "strides": [stride[::-1] for stride in FLAT["strides"]],
        "num_classes": 3,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
    }
    if residual:
        made = architectures.ResidualEncoderUNet(
            2, 3, n_blocks_per_stage=(1, 3, 4), n_conv_per_stage_decoder=(1, 1), **shape
        )
        ours = ResidualUNet(2, 3, blocks=(1, 3, 4), **FLAT)
    else:
        made = architectures.PlainConvUNet(
            2, 3, n_conv_per_stage=(2, 2, 2), n_conv_per_stage_decoder=(2, 2), **shape
        )
        ours = plain(deep=False)
    path = nnunet_file(tmp_path / "c.pth", random(made).state_dict())
    start_from(ours, path, channels=CHANNELS, labels=LABELS)
    image = torch.randn(1, 2, 16, 16, 8)
    with torch.no_grad():
        expected = made.eval()(image.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
    torch.testing.assert_close(logits(ours, image), expected, rtol=1e-4, atol=1e-4)


def test_networks_of_monai_compute_the_same_here(tmp_path: Path):
    nets = pytest.importorskip("monai.networks.nets")
    deep = {**FLAT, "kernels": ((3, 3, 3),) * 3}
    made = nets.DynUNet(
        3, 2, 3, deep["kernels"], deep["strides"], deep["strides"][1:], filters=deep["features"]
    )
    torch.save({"model": random(made).state_dict()}, tmp_path / "m.pt")
    ours = UNet(2, 3, convolutions=(2, 2, 2), **deep)
    start_from(ours, tmp_path / "m.pt", channels=CHANNELS, labels=LABELS)
    image = torch.randn(1, 2, 16, 16, 8)
    with torch.no_grad():
        expected = made.eval()(image)
    torch.testing.assert_close(logits(ours, image), expected, rtol=1e-4, atol=1e-4)


def test_a_run_of_ours_starts_another_one(tmp_path: Path):
    first, second, image = random(plain()), plain(), torch.randn(1, 2, 16, 16, 8)
    save_weights(tmp_path / "checkpoints" / "best.safetensors", first.state_dict(), {})
    report = start_from(second, tmp_path, channels=CHANNELS, labels=LABELS)
    torch.testing.assert_close(logits(second, image), logits(first, image))
    assert report.summary == (
        "weights from a safetensors file: 48 loaded (100.0 %), 0 adapted (0.0 %), "
        "0 skipped (0.0 %), 0 left (0.0 %)"
    )


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ResNet of few channels."""
    monkeypatch.setattr("delineate.models.resnet.WIDTHS", (2, 4, 8, 16))


def radimagenet(network: nn.Module) -> dict[str, Tensor]:
    """A ResNet as the list of layers that RadImageNet's file holds, without its classifier."""
    numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    return {
        f"backbone.{numbers[name.split('.')[0]]}.{name.split('.', 1)[1]}": tensor
        for name, tensor in network.state_dict().items()
        if name.split(".")[0] in numbers
    }


@pytest.mark.usefixtures("narrow")
def test_radimagenet_loads_into_a_classifier_of_grey_pictures(tmp_path: Path):
    theirs = ResNet(3, 165, spatial_dims=2, depth=18)
    ours = ResNet(1, 3, spatial_dims=2, depth=18)
    torch.save(radimagenet(theirs), tmp_path / "ResNet50.pt")
    report = start_from(ours, tmp_path / "ResNet50.pt", channels=("X-ray",), labels=LABELS)
    torch.testing.assert_close(ours.conv1.weight, theirs.conv1.weight.sum(1, keepdim=True))
    assert torch.equal(ours.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)
    assert {row.name for row in report.rows if row.status == "left"} == {"fc.weight", "fc.bias"}


@pytest.mark.usefixtures("narrow")
def test_a_picture_network_becomes_the_encoder_of_volumes(tmp_path: Path):
    theirs = ResNet(3, 1000, spatial_dims=2, depth=18)
    ours = ResNetUNet(2, 3, convolutions=(1, 1, 1), depth=18, **FLAT)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "imagenet.pth")
    report = start_from(ours, tmp_path / "imagenet.pth", channels=CHANNELS, labels=LABELS)
    statuses = {row.name: row.status for row in report.rows}
    assert statuses["encoder.layer1.0.conv1.weight"] == "adapted"
    assert statuses["encoder.layer1.0.bn1.running_mean"] == "loaded"
    assert statuses["heads.0.weight"] == "left"
    expected = theirs.layer1[0].conv1.weight[..., None].expand(-1, -1, -1, -1, 3) / 3
    torch.testing.assert_close(ours.encoder.layer1[0].conv1.weight, expected)
    assert ours.encoder.conv1.weight.shape[1] == 2


def source(**shapes: tuple[int, ...]) -> Source:
    state = {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()}
    return Source(state=state, kind="a test")


def test_a_layer_without_a_bias_in_the_file_gets_none_here():
    own = {"a.weight": torch.zeros(2, 2), "a.bias": torch.full((2,), 7.0), "n.bias": torch.ones(1)}
    filled, report = transfer(own, source(a__weight=(2, 2)), ends=Ends())
    assert torch.equal(filled["a.bias"], torch.zeros(2))
    assert torch.equal(filled["n.bias"], torch.ones(1))
    assert [(row.status, row.note) for row in report.rows] == [
        ("loaded", ""),
        ("adapted", "none in the file: 0"),
        ("left", ""),
    ]


def test_weights_without_any_common_name_are_counted_off():
    own = {"one.weight": torch.zeros(4, 1, 3, 3), "two.weight": torch.zeros(2, 4, 1, 1)}
    filled, report = transfer(
        own, source(x__weight=(4, 1, 3, 3), y__weight=(2, 4, 1, 1)), ends=Ends()
    )
    assert all(tensor.min() == 1 for tensor in filled.values())
    assert [row.source for row in report.rows] == ["x.weight", "y.weight"]


def test_the_present_weights_are_not_touched():
    own = {"a.weight": torch.zeros(2, 2)}
    transfer(own, source(a__weight=(2, 2)), ends=Ends())
    assert torch.equal(own["a.weight"], torch.zeros(2, 2))


def test_too_little_is_refused_with_the_names_of_both_sides(tmp_path: Path):
    torch.save({"q.kernel": torch.ones(3, 3), "r.kernel": torch.ones(3)}, tmp_path / "w.pt")
    network = random(plain())
    before = network.state_dict()["heads.0.bias"].clone()
    with pytest.raises(DataError) as caught:
        start_from(network, tmp_path / "w.pt", channels=CHANNELS, labels=LABELS)
    assert str(caught.value) == (
        f"{tmp_path / 'w.pt'}: a PyTorch file, but only 0.0 % of this network's numbers would "
        "come from it: the names and shapes are others.\n"
        "  The file begins with q.kernel, r.kernel;\n"
        "  the network with encoder.0.0.convolution.weight, encoder.0.0.convolution.bias, "
        "encoder.0.0.norm.weight.\n"
        "  Fix: set `model` and `plan` to the network of the file, or leave out start.weights."
    )
    assert torch.equal(network.state_dict()["heads.0.bias"], before)


def test_a_vector_in_the_place_of_a_kernel_is_left_out():
    own = {"a.weight": torch.zeros(4, 2, 3, 3), "b.weight": torch.zeros(9, 9)}
    _, report = transfer(own, source(a__weight=(4,), b__weight=(9, 9)), ends=Ends())
    assert [(row.status, row.note) for row in report.rows] == [
        ("skipped", "4 there, 4x2x3x3 here"),
        ("loaded", ""),
    ]


def test_another_width_is_named_as_the_reason():
    own = {"a.weight": torch.zeros(8, 2, 3, 3), "b.weight": torch.zeros(2, 8, 3, 3)}
    with pytest.raises(DataError, match=r"'a\.weight' is 4x2x3x3 there, 8x2x3x3 here"):
        transfer(own, source(a__weight=(4, 2, 3, 3), b__weight=(2, 4, 3, 3)), ends=Ends())


def test_weights_of_a_training_that_diverged_are_refused():
    broken = Source(state={"a.weight": torch.full((2, 2), torch.nan)}, kind="a test")
    with pytest.raises(DataError, match=r"'a.weight' holds values that are no numbers"):
        transfer({"a.weight": torch.zeros(2, 2)}, broken, ends=Ends())
