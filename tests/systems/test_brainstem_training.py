"""A documented training from its folder to its files: kept, gone on with, and predicted with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brainstem_toys import settings, write_tree
from nibabel import nifti1

from delineate.errors import ConfigError, DataError
from delineate.inference import predict_volume
from delineate.io import read_volume
from delineate.package import open_model
from delineate.plan import parse_plan
from delineate.systems.brainstem import BrainstemTrainer, InferenceConfig, auto_segment_brainstem
from delineate.systems.brainstem.checkpoints import read_checkpoint
from delineate.systems.brainstem.settings import TrainingConfig, plain
from delineate.systems.brainstem.training import Outcome

KEYS = {
    "epoch",
    "model_state_dict",
    "optimizer_state_dict",
    "scheduler_state_dict",
    "config",
    "metrics",
}
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("brainstem") / "data")


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of six epochs."""
    out = tmp_path_factory.mktemp("trained") / "out"
    return BrainstemTrainer(settings(), data, out).train()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


@slow
def test_the_documented_files_are_there(trained: Outcome):
    folder = trained.weights.parent
    assert {path.name for path in folder.iterdir() if path.is_file()} >= {
        "best_model.pth",
        "brainstem_model.zip",
        "checkpoint_epoch_001.pth",
        "checkpoint_epoch_003.pth",
        "checkpoint_epoch_005.pth",
        "pipeline_configuration.json",
        "training.log",
        "validation_criteria.json",
    }
    assert (trained.run / "report.html").is_file()
    said = json.loads((folder / "pipeline_configuration.json").read_text())
    assert set(said) == {
        "generated",
        "phase",
        "step",
        "pipeline_components",
        "training_parameters",
        "validation_strategy",
        "output_artifacts",
    }
    assert set(said["pipeline_components"]) == {"preprocessing", "augmentation", "training"}
    assert TrainingConfig(**said["training_parameters"]) == settings()
    log = (folder / "training.log").read_text()
    assert log.count("validation after epoch") == 3
    for epoch in range(1, 7):
        assert f"epoch {epoch} of 6: loss" in log


@slow
@pytest.mark.parametrize("name", ["best_model.pth", "checkpoint_epoch_003.pth"])
def test_a_checkpoint_is_read_without_running_anything(trained: Outcome, name: str):
    content = torch.load(trained.weights.with_name(name), weights_only=True)
    assert content.keys() >= KEYS
    assert content["config"] == plain(settings())
    assert set(content["metrics"]) == {"loss", "dice", "accuracy"}
    assert all(np.isfinite(value) for value in content["metrics"].values())
    assert parse_plan(content["plan"], name).normalisation[0].kind == "zscore"
    if name != "best_model.pth":
        assert content["epoch"] == 3
    network = open_model(trained.package).networks[0]
    assert content["model_state_dict"].keys() == network.state_dict().keys()
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.load_state_dict(content["optimizer_state_dict"])


@slow
def test_a_training_goes_on_from_a_checkpoint_to_the_same_bits(
    data: Path, trained: Outcome, tmp_path: Path
):
    first = trained.weights.with_name("checkpoint_epoch_001.pth")
    config = settings(resume=str(first))
    again = BrainstemTrainer(config, data, tmp_path / "again").train()
    ends = [o.weights.with_name("checkpoint_epoch_005.pth") for o in (trained, again)]
    one, other = (torch.load(path, weights_only=True) for path in ends)
    for key in KEYS - {"config"}:
        assert same(one[key], other[key]), key
    best = [torch.load(o.weights, weights_only=True)["model_state_dict"] for o in (trained, again)]
    assert same(*best)
    assert not (tmp_path / "again" / "checkpoint_epoch_001.pth").exists()


@slow
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    data: Path, trained: Outcome, tmp_path: Path
):
    out = tmp_path / "out"
    program = (
        "from brainstem_toys import settings\n"
        "from delineate.systems.brainstem import BrainstemTrainer\n"
        f"BrainstemTrainer(settings(), {str(data)!r}, {str(out)!r}).train()\n"
    )
    # As in the fixture's process, whose network is checked for shapes: the sums are the same.
    places = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": places},
    )
    deadline = time.monotonic() + 600
    while "epoch 3 of 6" not in (log := read_log(out)) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) != 0
    assert "epoch 6 of 6" not in log
    assert list((out / "run" / "checkpoints").glob("state-*"))
    BrainstemTrainer(settings(), data, out).train()
    assert "goes on from step" in read_log(out)
    name = "checkpoint_epoch_005.pth"
    ends = [torch.load(o / name, weights_only=True) for o in (trained.weights.parent, out)]
    for key in KEYS:
        assert same(ends[0][key], ends[1][key]), key


def read_log(folder: Path) -> str:
    path = folder / "training.log"
    return path.read_text() if path.is_file() else ""


@slow
def test_what_cannot_be_gone_on_from_is_refused(data: Path, trained: Outcome, tmp_path: Path):
    for name, says in (
        ("best_model.pth", "holds the best weights, not where the training was"),
        ("checkpoint_epoch_005.pth", "has done 6 epochs already"),
        ("none.pth", "no such file"),
    ):
        config = settings(resume=str(trained.weights.with_name(name)))
        with pytest.raises(DataError, match=says):
            BrainstemTrainer(config, data, tmp_path / name).train()
    first = str(trained.weights.with_name("checkpoint_epoch_001.pth"))
    for number, (changes, says) in enumerate(
        (
            ({"embed_dim": 32}, "are of another network: .* of another shape"),
            ({"morphogen": "channels"}, "its channels are T2w, those of this training T2w, AP"),
            (
                {"num_classes": None},
                r"its classes are red_nucleus \(4\), .* those of this training",
            ),
        )
    ):
        config = settings(resume=first, **changes)
        with pytest.raises(DataError, match=says) as caught:
            BrainstemTrainer(config, data, tmp_path / str(number)).train()
        assert str(caught.value).startswith(first)


@slow
def test_package_and_checkpoint_say_the_same_of_the_whole_scan(data: Path, trained: Outcome):
    scan = data / "nextbrain" / "T2w.nii.gz"
    found = auto_segment_brainstem(scan, InferenceConfig(model_path=trained.weights))
    assert found.shape == nifti1.load(scan).shape
    packaged = predict_volume(open_model(trained.package), read_volume(str(scan)))
    assert not packaged.warnings
    assert np.array_equal(found[::-1], packaged.mask.array[0])
    with pytest.raises(DataError, match=r"does not normalise scans.*brainstem_model\.zip"):
        auto_segment_brainstem(scan, model_path=trained.run)


@slow
def test_the_same_settings_train_anew_in_another_run(data: Path, tmp_path: Path):
    config = settings(num_epochs=1, samples_per_volume=2)
    first = BrainstemTrainer(config, data, tmp_path).train()
    second = BrainstemTrainer(config, data, tmp_path).train()
    assert [first.run.name, second.run.name] == ["run", "run_2"]
    said = json.loads((tmp_path / "pipeline_configuration.json").read_text())
    assert said["output_artifacts"]["report"] == "run_2/report.html"
    states = [read_checkpoint(tmp_path / "checkpoint_epoch_000.pth")]
    assert states[0]["epoch"] == 0


@slow
def test_no_better_dice_for_so_many_epochs_ends_the_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from delineate.systems.brainstem.scoring import BrainstemScorer

    real = BrainstemScorer.__call__
    monkeypatch.setattr(
        BrainstemScorer, "__call__", lambda self, network: real(self, network) | {"val_dice": 0.5}
    )
    config = settings(
        num_epochs=12, samples_per_volume=2, val_interval=2, early_stopping_patience=4
    )
    outcome = BrainstemTrainer(config, data, tmp_path).train()
    log = (outcome.weights.parent / "training.log").read_text()
    # The first validation, after epoch 2, is the best; 4 epochs later it is over.
    assert log.count("validation after epoch") <= 4
    assert "no better Dice than 0.5000 in 2 validations" in log
    assert "epoch 9 of 12" not in log


@slow
def test_several_subjects_gradients_and_all_classes(tmp_path: Path):
    names = ["nextbrain", "nextbrain_001", "nextbrain_002"]
    root = write_tree(tmp_path / "data", names)
    config = settings(
        num_classes=None, morphogen="channels", num_epochs=1, samples_per_volume=2, val_interval=1
    )
    outcome = BrainstemTrainer(config, root, tmp_path / "out").train()
    model = open_model(outcome.package)
    assert model.channels == ("T2w", "AP", "DV", "ML")
    assert model.labels.channels == 6
    scan = root / "nextbrain" / "T2w.nii.gz"
    found = auto_segment_brainstem(scan, model_path=outcome.package)
    assert found.shape == nifti1.load(scan).shape
    log = (outcome.weights.parent / "training.log").read_text()
    assert "2 subjects to learn from; held out: nextbrain" in log
    assert "MorphogenAugmentedViTGNN" in log


def test_a_trainer_wants_settings(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"config is a dict\. Fix: a TrainingConfig"):
        BrainstemTrainer({}, tmp_path, tmp_path)  # type: ignore[arg-type]


def test_an_output_folder_that_cannot_be_is_a_message(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match=r"out cannot be made \(File exists\)\. Fix: a folder"):
        BrainstemTrainer(settings(), tmp_path, tmp_path / "out").train()
