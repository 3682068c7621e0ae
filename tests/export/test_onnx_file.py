"""ONNX: the same scores from ONNX Runtime, for batches of any size."""

import json
from pathlib import Path

import pytest
import torch
from finished_runs import PLAN, changed, make

import delineate
from delineate.errors import ConfigError, MissingExtra
from delineate.export import ExportDiffers, export_onnx, noise_sample, onnx_file
from delineate.inference.model import Model
from delineate.plan import Network, Plan

FLAT = changed(
    patch=(32, 1, 32),
    network=Network(
        features=(8, 16, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        kernels=((3, 3),) * 3,
        convolutions=(2, 2, 2),
    ),
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(networks=(make("UNet"),), plan=PLAN)


@pytest.fixture(scope="module")
def written(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    difference = export_onnx(model, path, sample=noise_sample(PLAN))
    assert difference.largest <= 1e-4 * difference.scale
    return path


def test_without_the_package_the_extra_is_named(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def absent(package: str, *, extra: str) -> None:
        raise MissingExtra(package, extra)

    monkeypatch.setattr(onnx_file, "require", absent)
    with pytest.raises(MissingExtra, match=r'pip install "delineate\[onnx\]"'):
        export_onnx(model, tmp_path / "m.onnx", sample=noise_sample(PLAN))


def test_batches_of_any_size_give_the_trained_networks_scores(model: Model, written: Path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    batch = torch.randn(5, 1, 16, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        own = model.networks[0](batch).logits
    for number in (1, 5):
        (found,) = session.run(None, {"image": batch[:number].numpy()})
        torch.testing.assert_close(torch.from_numpy(found), own[:number], atol=1e-3, rtol=1e-3)


def test_the_graph_names_its_axes_and_no_folder_of_this_machine(written: Path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(written).graph
    (image,), (scores,) = graph.input, graph.output
    assert (image.name, scores.name) == ("image", "scores")
    for value, channels in ((image, 1), (scores, 3)):
        sizes = value.type.tensor_type.shape.dim
        assert sizes[0].dim_param == "batch"
        assert [size.dim_value for size in sizes[1:]] == [channels, 16, 16, 16]
    places = [str(Path(delineate.__file__).parent), str(Path.home()), str(written.parent)]
    assert not [place for place in places if place.encode() in written.read_bytes()]


def test_the_description_names_the_operators_version(written: Path):
    said = json.loads(written.with_suffix(".json").read_text())
    assert said["opset"] >= 18
    assert said["compared"]["on"] == "noise, as no scan was given"


def test_what_differs_is_not_written(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    session = onnx_file._session

    def wrong(path: Path):
        run = session(path)
        return lambda batch: run(batch) * 1.1

    monkeypatch.setattr(onnx_file, "_session", wrong)
    with pytest.raises(ExportDiffers, match=r"m\.onnx: not written"):
        export_onnx(model, tmp_path / "m.onnx", sample=noise_sample(PLAN))
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(model: Model, tmp_path: Path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match=r"must end in \.onnx"):
        export_onnx(model, tmp_path / "m.zip", sample=noise_sample(PLAN))


@pytest.mark.slow
@pytest.mark.parametrize("plan", [PLAN, FLAT], ids=["volumes", "slices"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AttentionUNet", {}),
        ("MedNeXt", {"width": 8}),
        ("MultiTaskUNet", {"presence": 2}),
        ("ResNetUNet", {"depth": 18}),
        ("ResidualUNet", {}),
        ("SegResNet", {}),
        ("UNet", {"deep_supervision": True}),
    ],
)
def test_every_network_that_draws_masks_can_be_exported(
    name: str, arguments: dict, plan: Plan, tmp_path: Path
):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    model = Model(networks=(make(name, plan, **arguments), make("UNet", plan)), plan=plan)
    difference = export_onnx(model, tmp_path / "m.onnx", sample=noise_sample(plan))
    assert difference.largest <= 1e-3 * difference.scale
