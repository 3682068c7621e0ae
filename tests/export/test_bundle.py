"""A MONAI bundle: runs by MONAI alone, and draws what we draw."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from finished_runs import PLAN, changed, make, write_scans

from delineate.errors import ConfigError
from delineate.export import bundle, export_bundle, noise_sample
from delineate.export.bundle_config import describe_inference, left_out
from delineate.export.monai_networks import find_twin
from delineate.export.scores import scores_of
from delineate.inference import predict_case
from delineate.inference.model import Model
from delineate.inference.postprocess import FillHoles, KeepLargest
from delineate.plan import Network, Normalisation, Plan


def model_of(name: str, plan: Plan = PLAN, **rest: object) -> Model:
    return Model(networks=(make(name, plan),), plan=plan, **rest)


def shaped(**changes: object) -> Plan:
    network = {
        "features": PLAN.network.features,
        "strides": PLAN.network.strides,
        "kernels": PLAN.network.kernels,
        "convolutions": PLAN.network.convolutions,
    }
    return changed(network=Network(**network | changes))


FLAT = changed(
    patch=(16, 16, 1),
    network=Network(
        features=(8, 16, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        kernels=((3, 3),) * 3,
        convolutions=(2, 2, 2),
    ),
)


@pytest.mark.parametrize("plan", [PLAN, FLAT], ids=["volumes", "slices"])
@pytest.mark.parametrize(
    ("name", "arguments", "twin"),
    [
        ("UNet", {}, "DynUNet"),
        ("UNet", {"deep_supervision": True}, "DynUNet"),
        ("SegResNet", {}, "SegResNet"),
        ("SegResNet", {"blocks": (1, 3, 2)}, "SegResNet"),
    ],
)
def test_monais_own_network_computes_the_same(name: str, arguments: dict, twin: str, plan: Plan):
    nets = pytest.importorskip("monai.networks.nets")
    network = make(name, plan, **arguments)
    found = find_twin(network, plan)
    assert found is not None
    assert found.name == twin
    theirs = getattr(nets, twin)(**found.arguments).eval()
    assert not theirs.load_state_dict(found.weights, strict=False).unexpected_keys
    (image, _) = noise_sample(plan).batches
    with torch.no_grad():
        own = network(image).logits
        torch.testing.assert_close(theirs(image), own, atol=1e-4, rtol=1e-4)


def test_every_weight_but_cancelled_biases_goes_over():
    network = make("UNet")
    found = find_twin(network, PLAN)
    assert found is not None
    cancelled = [name for name in network.state_dict() if name.endswith("convolution.bias")]
    assert len(found.weights) == len(network.state_dict()) - len(cancelled)
    network = make("SegResNet")
    found = find_twin(network, PLAN)
    assert found is not None
    assert len(found.weights) == len(network.state_dict())


@pytest.mark.parametrize(
    "plan",
    [
        shaped(convolutions=(2, 2, 3)),
        shaped(kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3))),
        shaped(strides=((1, 1, 1), (4, 4, 4), (2, 2, 2))),
    ],
    ids=["three convolutions", "kernels that differ", "a stride of four"],
)
def test_a_unet_that_dynunet_cannot_be_has_no_twin(plan: Plan):
    assert find_twin(make("UNet", plan), plan) is None


def test_a_segresnet_that_does_not_halve_every_axis_has_no_twin():
    plan = shaped(strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)))
    assert find_twin(make("SegResNet", plan), plan) is None
    assert find_twin(make("AttentionUNet"), PLAN) is None


def config_of(model: Model) -> dict:
    return describe_inference(model, scores_of(model), {"_target_": "DynUNet"}, [])


def steps_of(config: dict, part: str) -> list[str]:
    return [step["_target_"] for step in config[part]["transforms"]]


def test_the_steps_are_those_of_the_plan():
    rules = (
        Normalisation(kind="ct", mean=40, deviation=20, low=-100, high=300),
        Normalisation(kind="zscore", nonzero=True),
    )
    plan = changed(
        channels=("CT", "PET"), normalisation=rules, crop_nonzero=True, separate_axis=2,
        spacing=(1.0, 1.0, 5.0),
    )  # fmt: skip
    config = config_of(model_of("UNet", plan, steps=(KeepLargest(label="lesion"), FillHoles())))
    assert steps_of(config, "preprocessing") == [
        "LoadImaged", "EnsureChannelFirstd", "Orientationd", "CropForegroundd", "SplitDimd",
        "ScaleIntensityRanged", "NormalizeIntensityd", "ConcatItemsd", "DeleteItemsd", "Spacingd",
        "Spacingd",
    ]  # fmt: skip
    steps = config["preprocessing"]["transforms"]
    scale = steps[5]
    assert (scale["keys"], scale["a_min"], scale["a_max"]) == ("image_0", -100.0, 300.0)
    assert (scale["b_min"], scale["b_max"], scale["clip"]) == (-7.0, 13.0, True)
    assert (steps[6]["keys"], steps[6]["nonzero"]) == ("image_1", True)
    assert [step["pixdim"] for step in steps[-2:]] == [[1.0, 1.0, -1.0], [-1.0, -1.0, 5.0]]
    assert [step["mode"] for step in steps[-2:]] == [3, "nearest"]
    assert steps_of(config, "postprocessing") == [
        "Invertd", "AsDiscreted", "MapLabelValued", "KeepLargestConnectedComponentd", "SaveImaged",
    ]  # fmt: skip
    assert config["postprocessing"]["transforms"][3]["applied_labels"] == [3]
    assert "%04d" in config["datalist"]


def test_what_the_bundle_leaves_out_is_said():
    model = model_of("UNet", steps=(KeepLargest(), FillHoles(label="cord")), flips=(0,))
    assert left_out(model) == (
        "fill the holes of cord (faces touch)", "averaging over mirror images"
    )  # fmt: skip
    assert left_out(model_of("UNet", steps=(KeepLargest(),))) == ()


def test_slices_are_walked_by_a_slice_inferer():
    config = config_of(model_of("UNet", FLAT))
    assert config["inferer"]["_target_"] == "SliceInferer"
    assert config["inferer"]["spatial_dim"] == 2
    assert config["inferer"]["roi_size"] == [16, 16]


def test_pictures_and_full_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle, "require", lambda *_, **__: None)
    pictures = changed(spacing=(1.0, 1.0), shape=(16, 16), patch=(16, 16), network=FLAT.network)
    model = model_of("UNet", pictures)
    with pytest.raises(ConfigError, match="for volumes only, and this model is for pictures"):
        export_bundle(model, tmp_path / "b", sample=noise_sample(pictures))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"b: is there already\. Fix: choose another folder"):
        export_bundle(model_of("UNet"), tmp_path / "b", sample=noise_sample(PLAN))


def run_bundle(folder: Path, scans: Path) -> dict[str, np.ndarray]:
    """What `python -m monai.bundle run` makes of the scans, by name."""
    words = ["--config_file", "configs/inference.json", "--meta_file", "configs/metadata.json"]
    words += ["--dataset_dir", str(scans), "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        path.name: np.asarray(nibabel.load(path).dataobj) for path in (folder / "eval").iterdir()
    }


def need_monai() -> None:
    for package in ("monai", "ignite", "fire"):
        pytest.importorskip(package)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "plan", "networks"),
    [
        ("UNet", PLAN, 1),
        ("SegResNet", PLAN, 1),
        ("ResidualUNet", PLAN, 1),
        ("UNet", PLAN, 2),
        ("UNet", FLAT, 1),
        ("UNet", changed(channels=("T1", "T2"), normalisation=PLAN.normalisation * 2), 1),
        (
            "UNet",
            changed(
                channels=("CT", "T2"),
                crop_nonzero=True,
                normalisation=(
                    Normalisation(kind="ct", mean=100, deviation=20, low=60, high=140),
                    Normalisation(kind="zscore"),
                ),
            ),
            1,
        ),
    ],
    ids=["DynUNet", "SegResNet", "graph", "ensemble", "slices", "channels", "mixed channels"],
)
def test_monai_runs_the_bundle_and_draws_our_masks(
    name: str, plan: Plan, networks: int, tmp_path: Path
):
    need_monai()
    # One window: where several meet, MONAI gives their borders a little more weight than we do.
    scans = write_scans(tmp_path / "scans", shape=(16, 14, 12), channels=len(plan.channels))
    model = Model(networks=tuple(make(name, plan, seed) for seed in range(networks)), plan=plan)
    export_bundle(model, tmp_path / "bundle", sample=noise_sample(plan))
    found = run_bundle(tmp_path / "bundle", scans)
    firsts = sorted(scans.glob("*_0000.nii.gz"))
    assert sorted(found) == [path.name for path in firsts]
    for path in firsts:
        files = [str(path).replace("_0000.", f"_{c:04}.") for c in range(len(plan.channels))]
        own = predict_case(model, files).mask.array[0]
        theirs = found[path.name]
        assert theirs.shape == own.shape
        assert set(np.unique(theirs)) <= {0, 1, 3}
        assert (theirs == own).mean() > 0.999


@pytest.mark.slow
def test_a_resampled_scan_in_other_axes_comes_back_on_its_own_grid(tmp_path: Path):
    need_monai()
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(24, 20, 14)), axis=0).astype(np.float32)
    affine = np.diag((-0.8, 0.9, 1.6, 1.0))
    (tmp_path / "scans").mkdir()
    nibabel.save(nibabel.Nifti1Image(smooth, affine), tmp_path / "scans" / "one.nii.gz")
    model = model_of("UNet")
    export_bundle(model, tmp_path / "bundle", sample=noise_sample(PLAN))
    theirs = run_bundle(tmp_path / "bundle", tmp_path / "scans")["one.nii.gz"]
    own = predict_case(model, [tmp_path / "scans" / "one.nii.gz"]).mask
    assert theirs.shape == (24, 20, 14)
    # Canonical axes run the other way along the first axis of the file.
    assert (theirs[::-1] == own.array[0]).mean() > 0.8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_folder_has_what_monai_asks_for_and_no_place_of_this_machine(tmp_path: Path):
    need_monai()
    export_bundle(model_of("UNet"), tmp_path / "bundle", sample=noise_sample(PLAN))
    files = {str(p.relative_to(tmp_path / "bundle")) for p in (tmp_path / "bundle").rglob("*.*")}
    assert files == {
        "configs/inference.json", "configs/metadata.json", "docs/README.md", "models/model.pt",
    }  # fmt: skip
    said = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())
    assert {
        "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
        "required_packages_version", "task", "description", "authorship", "copyright",
        "network_data_format",
    } <= said.keys()  # fmt: skip
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        config_file=str(tmp_path / "bundle" / "configs" / "inference.json"),
        meta_file=str(tmp_path / "bundle" / "configs" / "metadata.json"),
        workflow_type="inference",
        bundle_root=str(tmp_path / "bundle"),
    )
    workflow.initialize()
    assert not workflow.check_properties()
    for path in (tmp_path / "bundle").rglob("*.*"):
        assert str(Path.home()).encode() not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()
