"""The documented files of a training, and the functions that read models."""

import csv
import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from finished_runs import LABELS, finish, write_scans
from nibabel import nifti1
from stroke_cases import names, save

from delineate.contracts import Output, Target
from delineate.engine.tally import Tally
from delineate.errors import DataError
from delineate.groundwork import NoBars
from delineate.labels import Labels
from delineate.losses import WeightedSum
from delineate.models import HybridCNNTransformer
from delineate.package import open_model
from delineate.run_folder import RunFolder
from delineate.systems.stroke.diary import BEST, LOG, MEMORY, Diary, read_history
from delineate.systems.stroke.evaluation import measure, summarise
from delineate.systems.stroke.inference import generate_test_predictions
from delineate.systems.stroke.models_folder import find_model, publish, read_note
from delineate.systems.stroke.transfer import (
    combined_dice_focal_loss,
    dice_coefficient,
    layers_of,
    replace_head,
)
from delineate.systems.stroke.visualization import plot_segmentation_results

LESION = Labels.from_names({"lesion": 1})
SCORES = {
    "val_dice": 0.5,
    "val_loss": 0.6,
    "val_sensitivity": 0.75,
    "val_specificity": 0.99,
    "val_precision": 0.4,
    "val_accuracy": 0.98,
}


def lesson(folder: Path, *, epochs: int = 4) -> Any:
    """As much of a lesson as a diary looks at."""
    run = RunFolder(folder)
    run.states.mkdir(parents=True)
    run.weights.write_bytes(b"weights")
    optimizer = SimpleNamespace(param_groups=[{"lr": 1e-3}])
    task = SimpleNamespace(
        clock=SimpleNamespace(progress=0.0),
        optimizer=optimizer,
        device=torch.device("cpu"),
        loss=WeightedSum({"tally": Tally()}, {"tally": 0.0}),
    )
    train = SimpleNamespace(budget=SimpleNamespace(epochs=epochs))
    return SimpleNamespace(task=task, run=run, config=SimpleNamespace(train=train))


def epoch(diary: Diary, progress: float, *losses: float) -> None:
    for loss in losses:
        logits = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, -1.0]]], requires_grad=True)
        mask = torch.tensor([[1, 0, 0, 0]])  # one of two is right, and none is missed
        diary.tally(Output(logits=logits), Target(mask=mask))
        diary.batch({"dice": torch.tensor(loss / 2), "focal": torch.tensor(loss / 2)})
    setattr(diary.task.clock, "progress", progress)  # noqa: B010 # a stand-in for the clock
    diary.observe(SCORES)


def test_each_epoch_has_a_row_and_an_entry_of_memory(tmp_path: Path):
    diary = Diary(lesson(tmp_path))
    epoch(diary, 0.25, 1.0, 3.0)
    epoch(diary, 0.5, 0.5)
    with (tmp_path / LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [float(row["loss"]) for row in rows] == [2.0, 0.5]
    assert [float(row["dice_coefficient"]) for row in rows] == pytest.approx([2 / 3] * 2)
    assert [float(row["accuracy"]) for row in rows] == [0.75] * 2
    assert float(rows[0]["val_sensitivity"]) == 0.75
    assert float(rows[0]["val_loss"]) == 0.6
    entries = json.loads((tmp_path / MEMORY).read_text())
    for number, entry in enumerate(entries):
        assert list(entry) == ["epoch", "current_memory_gb", "peak_memory_gb", "timestamp"]
        assert entry["epoch"] == number
        assert 0 < entry["current_memory_gb"] <= entry["peak_memory_gb"] * 1.01
        assert datetime.fromisoformat(entry["timestamp"]).tzinfo is not None
    assert (tmp_path / BEST).samefile(RunFolder(tmp_path).weights)
    history = read_history(tmp_path)
    assert history["epoch"] == [0, 1]
    assert history["val_dice_coefficient"] == [0.5, 0.5]


def test_a_diary_goes_on_where_it_was_stopped(tmp_path: Path):
    whole, first = Diary(lesson(tmp_path / "whole")), Diary(lesson(tmp_path / "first"))
    epoch(whole, 0.25, 1.0)
    epoch(whole, 0.5, 2.0, 4.0)
    epoch(first, 0.25, 1.0)
    first.batch({"all": torch.tensor(2.0)})
    second = Diary(lesson(tmp_path / "second"))
    second.load_state_dict(first.state_dict())
    epoch(second, 0.5, 4.0)
    assert (tmp_path / "second" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


def test_figures_are_hard_per_case_and_lesions_those_of_the_challenge(tmp_path: Path):
    truth, found = np.zeros((2, 12, 12, 12), np.uint8)
    truth[1:3, 1:3, 1:3] = 1  # found but for half of it
    truth[8:10, 8:10, 8:10] = 1  # missed
    found[1:3, 1:3, 1:2] = 1
    found[5, 5, 5] = 1  # wrong
    for name, mask in (("a", found), ("b", truth)):
        save(tmp_path / "masks" / f"{name}.nii.gz", mask)
        save(tmp_path / "truth" / f"{name}.nii.gz", truth)
    pairs = {name: tmp_path / "truth" / f"{name}.nii.gz" for name in "ab"}
    said = summarise(measure(tmp_path / "masks", pairs, labels=LESION, bars=NoBars()))
    assert said["cases"]["a"] == {
        "dice": pytest.approx(2 * 4 / (16 + 5), abs=1e-6),
        "sensitivity": 0.25,
        "specificity": pytest.approx(1 - 1 / (12**3 - 16), abs=1e-6),
        "lesion_f1": 0.5,  # one found, one missed, one wrong
    }
    assert said["cases"]["b"] == dict.fromkeys(said["metrics"], 1.0)
    assert said["metrics"]["lesion_f1"] == 0.75
    assert said["num_cases"] == 2
    assert sum(group["cases"] for group in said["dice_by_lesion_size"].values()) == 2


def test_a_case_without_a_lesion_has_no_sensitivity(tmp_path: Path):
    for folder in ("masks", "truth"):
        save(tmp_path / folder / "a.nii.gz", np.zeros((6, 6, 6), np.uint8))
    truth = {"a": tmp_path / "truth" / "a.nii.gz"}
    said = summarise(measure(tmp_path / "masks", truth, labels=LESION, bars=NoBars()))
    assert said["cases"]["a"]["sensitivity"] is None
    assert said["cases"]["a"]["dice"] == 1.0
    assert said["dice_by_lesion_size"] == {}
    json.dumps(said, allow_nan=False)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    write_scans(Path("scans"))
    finish(Path("callbacks/stage1_basic"), Path("scans"))
    return RunFolder(Path("callbacks/stage1_basic"))


def test_a_model_is_a_package_with_a_note_of_who_was_held_out(finished: RunFolder):
    path = publish(finished, Path("models/stage1_basic_final.zip"))
    assert open_model(path).labels == LABELS
    note = read_note(path)
    assert note["run"] == "callbacks/stage1_basic"
    assert note["validation"] == read_note(finished.path)["validation"]
    assert not set(note["validation"]) & set(note["training"])


def test_a_name_of_tensorflow_is_that_of_our_model(finished: RunFolder, caplog):
    path = publish(finished, Path("models/a_final.zip"))
    caplog.set_level("INFO", logger="delineate")
    assert find_model("models/a_final.h5") == path
    assert caplog.messages == [
        "models/a_final.h5: models here are packages of delineate; models/a_final.zip is taken"
    ]
    assert find_model(path) == path
    assert find_model(finished.path) == finished.path
    with pytest.raises(DataError) as caught:
        find_model("models/b_final.h5")
    assert str(caught.value) == (
        "models/b_final.zip: no such model (asked for as b_final.h5). "
        "There are: models/a_final.zip."
    )
    Path("models/theirs.h5").write_bytes(b"\x89HDF")
    with pytest.raises(DataError, match=r"^models/theirs.h5: a model of TensorFlow, which cannot"):
        find_model("models/theirs.h5")
    with pytest.raises(DataError, match=r"Fix: train first, python sota_training_pipeline.py\.$"):
        find_model("elsewhere/b_final.h5")


def test_a_test_set_is_predicted_on_its_own_grid(finished: RunFolder):
    name = names(1, sites=1)[0]
    image = np.random.default_rng(0).normal(100, 20, (17, 20, 15)).astype(np.float32)
    save(Path("Testing/Images") / f"{name}_T1w.nii.gz", image, (2, 1, 1))
    save(Path("Testing/Images") / "notes.nii.gz", image)
    (made,) = generate_test_predictions(finished.path, "Testing", "out/masks")
    assert made == Path("out/masks") / f"{name}_T1w.nii.gz"
    assert nifti1.load(made).shape == image.shape
    assert nifti1.load(made).header.get_zooms() == (2, 1, 1)
    with pytest.raises(DataError, match=r"^nowhere: no such folder"):
        generate_test_predictions(finished.path, "nowhere", "out")


@pytest.mark.slow
def test_a_scan_that_cannot_be_read_is_told_and_has_no_mask(finished: RunFolder):
    image = np.random.default_rng(0).normal(100, 20, (16, 16, 16)).astype(np.float32)
    save(Path("Testing/Images/a_T1w.nii.gz"), image)
    save(Path("Testing/Images/b_T1w.nii.gz"), np.full_like(image, np.nan))
    with pytest.raises(DataError, match=r"b_T1w.*NaN"):
        generate_test_predictions(finished.path, "Testing", "out")
    assert [path.name for path in Path("out").glob("*.nii.gz")] == ["a_T1w.nii.gz"]


@pytest.mark.slow
def test_a_picture_needs_no_truth(tmp_path: Path):
    rng = np.random.default_rng(0)
    save(tmp_path / "image.nii.gz", rng.normal(100, 20, (16, 18, 14)).astype(np.float32))
    mask = np.zeros((16, 18, 14), np.uint8)
    mask[4:8, 4:8, 4:8] = 1
    save(tmp_path / "mask.nii.gz", mask)
    files = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    sizes = set()
    for truth in (None, tmp_path / "mask.nii.gz"):
        made = plot_segmentation_results(*files, truth, tmp_path / "a.png")
        assert made.read_bytes().startswith(b"\x89PNG")
        sizes.add(made.stat().st_size)
    assert len(sizes) == 2
    with pytest.raises(DataError, match=r"a plot is a PNG"):
        plot_segmentation_results(*files, None, tmp_path / "a.jpg")


def test_layers_come_in_the_order_of_the_network_and_a_head_is_replaced():
    network = HybridCNNTransformer(1, 2, base_filters=8, depth=2)
    layers = layers_of(network)
    assert layers[0] is network.encoder[0].enter
    own = [w for layer in layers for w in layer.parameters(recurse=False)]
    assert len(own) == len(list(network.parameters()))
    replace_head(network, classes=3)
    output = network(torch.zeros(1, 1, 16, 16, 16))
    assert output.logits is not None
    assert output.logits.shape[1] == 4
    assert {logits.shape[1] for logits in output.deep} == {4}


def test_the_documented_loss_falls_towards_the_truth_and_dice_is_hard():
    mask = torch.zeros(2, 1, 6, 6, 6)
    mask[:, :, 1:3, 1:3, 1:3] = 1
    right = torch.cat([1 - mask, mask], 1) * 20 - 10
    wrong = torch.zeros_like(right)
    assert combined_dice_focal_loss(right, mask) < 1e-3
    assert combined_dice_focal_loss(wrong, mask) > 0.1
    assert combined_dice_focal_loss(Output(logits=right), mask[:, 0]) < 1e-3
    assert dice_coefficient(right, mask) == 1.0
    half = right.clone()
    half[1] = -10 * torch.tensor([-1.0, 1.0])[:, None, None, None]
    assert dice_coefficient(half, mask) == pytest.approx(2 / 3)
    assert dice_coefficient(half[1:], 0 * mask[1:]) == 1.0
