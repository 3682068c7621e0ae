"""The whole path, from a folder of scans to masks, a table and a page, on tiny scans."""

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from terminal import Done, delineate

import delineate.run as run_module
from delineate.datasets import read_dataset, synthesise
from delineate.errors import DataError
from delineate.io import read_mask
from delineate.metrics import read_table

MADE = {
    "config.yaml", "plan.json", "cases.json", "metrics.csv", "metrics.jsonl", "panels", "log.txt",
    "environment.json", "checkpoints", "validation", "report.html", "domain.json",
    "postprocessing.json", "hashes.json",
}  # fmt: skip


BESIDE = {"volumes.csv", "prediction.json"}
"""What a folder of masks holds besides them."""


def train(data: Path, run: Path, *wishes: str) -> Done:
    """Two folds, two steps, four features: enough to walk the path."""
    small = ("data.folds=2", "train.budget=2 steps", "plan.width=4")
    return delineate("train", "starter", f"data.root={data}", f"run_dir={run}", *small, *wishes)


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organs") / "scans"
    return synthesise("organs", folder, cases=4, shape=(16, 16, 16))


@pytest.fixture(scope="module")
def run(organs: Path) -> Path:
    """A finished training on them."""
    folder = organs.parent / "runs" / "first"
    done = train(organs, folder)
    assert done.code == 0, done.err
    assert done.out.startswith("Mean Dice on 2 held-out cases: 0.")
    assert done.out.endswith(f"Report: {folder / 'report.html'}\n")
    return folder


def test_a_run_is_one_folder_that_holds_everything_it_made(run: Path):
    assert {path.name for path in run.iterdir()} == MADE
    cases = json.loads((run / "cases.json").read_text())
    trained, held_out = ({c["id"] for c in cases[part]} for part in ("training", "validation"))
    assert len(trained) == len(held_out) == 2
    assert not trained & held_out
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.safetensors", "best.json"}
    masks = {path.name for path in (run / "validation").glob("*.nii.gz")}
    assert masks == {f"{case}.nii.gz" for case in held_out}
    assert set(read_table(run / "validation" / "table.csv").cases) == held_out


def test_each_loss_term_and_each_class_has_a_column_in_metrics(run: Path):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"loss/Dice", "loss/CrossEntropy", "val_dice/liver", "val_dice/aorta"} <= rows[0].keys()
    assert [row["step"] for row in rows if row["loss"]] == ["2"]
    assert all(0 <= float(row["val_dice"]) <= 1 for row in rows if row["val_dice"])


def test_the_page_has_curves_pictures_and_no_link_to_elsewhere(run: Path):
    page = (run / "report.html").read_text()
    assert "<svg" in page
    assert "data:image/" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_masks_lie_on_each_scans_own_grid(run: Path, organs: Path, tmp_path: Path):
    scans = tmp_path / "scans"
    scans.mkdir()
    source = nibabel.load(organs / "imagesTr" / "organs_000_0000.nii.gz")
    for axes in ("RAS", "PIL", "SRA"):
        turn = ornt_transform(io_orientation(source.affine), axcodes2ornt(axes))
        nibabel.save(source.as_reoriented(turn).slicer[1:, :, 2:], scans / f"new_{axes}.nii.gz")
    out = tmp_path / "masks"
    done = delineate("predict", run, scans, "-o", out)
    assert (done.code, done.out) == (0, f"Masks: {out}\n")
    assert {path.name for path in out.iterdir()} - BESIDE == {p.name for p in scans.iterdir()}
    for path in scans.iterdir():
        scan, mask = nibabel.load(path), nibabel.load(out / path.name)
        assert mask.shape == scan.shape
        np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
        assert set(np.unique(np.asarray(mask.dataobj))) <= set(range(8))


@pytest.mark.slow
def test_a_scan_unlike_those_of_the_training_is_warned_of(run: Path, organs: Path, tmp_path: Path):
    source = nibabel.load(organs / "imagesTr" / "organs_000_0000.nii.gz")
    affine = source.affine @ np.diag([3.0, 3.0, 3.0, 1.0])
    scan = nibabel.Nifti1Image(np.asarray(source.dataobj), affine)
    nibabel.save(scan, tmp_path / "large.nii.gz")
    done = delineate("predict", run, tmp_path / "large.nii.gz", "-o", tmp_path / "masks")
    assert done.code == 0
    assert "large: spacing " in done.err
    assert "; training scans had " in done.err


def test_a_scan_that_cannot_be_read_is_named_and_the_others_are_predicted(
    run: Path, organs: Path, tmp_path: Path
):
    scans, out = tmp_path / "scans", tmp_path / "masks"
    scans.mkdir()
    shutil.copy(organs / "imagesTr" / "organs_000_0000.nii.gz", scans / "good.nii.gz")
    (scans / "bad.nii.gz").write_bytes(b"no scan")
    done = delineate("predict", run, scans, "-o", out)
    assert done.code == 2
    assert done.err.startswith("bad: ")
    assert {path.name for path in out.iterdir()} - BESIDE == {"good.nii.gz"}


def test_the_masks_of_a_run_can_be_evaluated_again(run: Path, organs: Path, tmp_path: Path):
    truth = tmp_path / "truth"
    truth.mkdir()
    masks = sorted((run / "validation").glob("*.nii.gz"))
    for mask in masks:
        shutil.copy(organs / "labelsTr" / mask.name, truth)
    done = delineate("evaluate", run / "validation", truth, "-o", tmp_path / "t.csv")
    assert done.code == 0
    again, first = read_table(tmp_path / "t.csv"), read_table(run / "validation" / "table.csv")
    names = {str(leaf.id): leaf.name for leaf in read_dataset(organs).labels.leaves}
    # A bare folder of masks has ids alone, and cannot say that the tumour is part of the liver.
    for number in set(again.labels) - {"1"}:
        one = again.values("dice")[:, again.labels.index(number)]
        other = first.values("dice")[:, first.labels.index(names[number])]
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(again.labels) > 3


def test_the_report_can_be_written_again(run: Path):
    page = run / "report.html"
    before = page.read_text()
    assert delineate("report", run).out.startswith(f"Report: {page} (")
    assert page.read_text() == before


def test_a_finished_run_is_not_overwritten(run: Path, organs: Path):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = train(organs, run)
    assert done.code == 2
    assert done.err == (
        f"{run}: this run is finished (see {run / 'report.html'}). Fix: choose another run_dir.\n"
    )
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_folder_of_something_else_is_not_touched(organs: Path, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = train(organs, tmp_path)
    assert done.code == 2
    assert "the folder is not empty and no run of ours. Fix: choose another run_dir." in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_data_set_with_a_fault_is_refused_in_the_doctors_words(organs: Path, tmp_path: Path):
    copy, folder = tmp_path / "scans", tmp_path / "run"
    shutil.copytree(organs, copy)
    image = copy / "imagesTr" / "organs_002_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:200])
    done = train(copy, folder)
    assert done.code == 2
    assert done.err.startswith(f"{copy}: 1 fault")
    assert "to mend before training.\n  error: organs_002: " in done.err
    assert f"Fix: see `delineate doctor {copy}`; its --fix OUT writes a repaired copy." in done.err
    assert "DataError" in (folder / "log.txt").read_text()
    assert not (folder / "plan.json").exists()


@pytest.mark.slow
def test_an_interrupted_run_starts_afresh_in_its_own_folder(organs: Path, tmp_path: Path):
    folder = tmp_path / "run"
    assert train(organs, folder, "data.fold=1").code == 0
    (folder / "report.html").unlink()
    assert train(organs, folder).code == 0
    assert {path.name for path in folder.iterdir()} == MADE
    assert "fold: 0" in (folder / "config.yaml").read_text()


def stopped(data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *wishes: str) -> None:
    """A run whose training is complete, and that died before its cases were judged."""

    def die(*args: object, **kwargs: object) -> None:
        raise DataError("no more power")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "judge", die)
        assert train(data, folder, *wishes).err.endswith("no more power\n")


@pytest.mark.slow
def test_a_run_that_died_after_training_is_judged_without_training_again(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    stopped(organs, folder, monkeypatch)
    weights, metrics = (folder / "checkpoints" / "best.safetensors", folder / "metrics.csv")
    before = (weights.stat().st_mtime_ns, metrics.read_bytes())
    done = train(organs, folder, "train.checkpoint=1min", "train.workers=0")
    assert done.code == 0
    assert "the training is complete: step 2" in done.err
    assert "the doctor finds no error" not in done.err
    assert before == (weights.stat().st_mtime_ns, metrics.read_bytes())
    assert {path.name for path in folder.iterdir()} == MADE
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"best.safetensors", "best.json"}
    log = (folder / "log.txt").read_text()
    assert "no more power" in log
    assert "the training is complete" in log


def test_an_unfinished_run_is_not_gone_on_with_by_another_configuration(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    stopped(organs, folder, monkeypatch)
    other = ("train.seed=1", "loss=[{name: Dice}]", "optimizer.rates={encoder: 0.1}")
    done = train(organs, folder, *other)
    assert done.code == 2
    assert done.err == (
        f"{folder}: an unfinished run of another configuration lies here: loss has changed; "
        "optimizer.rates.encoder was null, is 0.1; train.seed was 0, is 1. Fix: choose another "
        "run_dir, or begin here anew with `delineate train ... --restart`.\n"
    )
    assert any((folder / "checkpoints").glob("state-*"))


@pytest.mark.slow
def test_restart_begins_an_unfinished_run_anew(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    stopped(organs, folder, monkeypatch)
    done = train(organs, folder, "train.seed=1", "--restart")
    assert done.code == 0
    assert "complete" not in done.err
    assert "no more power" not in (folder / "log.txt").read_text()
    assert "seed: 1" in (folder / "config.yaml").read_text()


def test_an_unfinished_run_without_its_cases_says_which_is_gone(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy, folder = tmp_path / "scans", tmp_path / "run"
    shutil.copytree(organs, copy)
    stopped(copy, folder, monkeypatch)
    for name in ("imagesTr/organs_001_0000.nii.gz", "labelsTr/organs_001.nii.gz"):
        (copy / name).unlink()
    facts = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(facts | {"numTraining": 3}))
    done = train(copy, folder)
    assert done.code == 2
    assert done.err.endswith(
        f"{copy}: of the cases of the unfinished run in {folder}, 1 are no longer here (first: "
        "organs_001). Fix: bring them back, or begin anew with --restart.\n"
    )


@pytest.mark.slow
def test_pictures_are_trained_on_and_get_pictures_as_masks(tmp_path: Path):
    data, folder = tmp_path / "pictures", tmp_path / "runs" / "run"
    synthesise("slices", data, cases=4, shape=(24, 32), layout="folders")
    assert train(data, folder).code == 0
    plan = json.loads((folder / "plan.json").read_text())
    assert len(plan["patch"]["value"]) == 2
    assert delineate("predict", folder, data / "images", "-o", tmp_path / "masks").code == 0
    assert {path.name for path in (tmp_path / "masks").iterdir()} - BESIDE == {
        path.name for path in (data / "images").iterdir()
    }
    assert read_mask(tmp_path / "masks" / "slices_000.png").array.shape == (1, 24, 32)
    done = delineate("evaluate", tmp_path / "masks", data, "-o", tmp_path / "t.csv")
    assert done.code == 0


@pytest.mark.slow
def test_overlapping_masks_in_hdf5_are_trained_on_by_their_own_splits(tmp_path: Path):
    data, folder = tmp_path / "structures", tmp_path / "runs" / "run"
    synthesise("structures", data, cases=5, shape=(16, 16, 16))
    assert train(data, folder, "data.folds=null").code == 0
    cases = json.loads((folder / "cases.json").read_text())
    assert {case["id"][:5] for case in cases["training"]} == {"train"}
    assert [case["id"] for case in cases["validation"]] == ["val_00000"]
    mask = read_mask(folder / "validation" / "val_00000.nii.gz").array
    assert mask.shape == (13, 16, 16, 16)
    names = json.loads((data / "metadata.json").read_text())["structure_names"]
    assert read_table(folder / "validation" / "table.csv").labels == tuple(names)


def test_a_data_set_in_hdf5_is_read_again_in_one_process(tmp_path: Path):
    data = synthesise("structures", tmp_path / "structures", cases=5, shape=(16, 16, 16))
    read_mask(read_dataset(data).cases[0].label)
    assert len(read_dataset(data).cases) == 5


def test_a_network_and_a_loss_of_ones_own_are_trained_by_import_path(
    organs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "parts.py").write_text(
        "from torch import nn\n"
        "from torch.nn import functional as F\n"
        "class Tiny(nn.Module):\n"
        "    def __init__(self, in_channels, out_channels, *, width=2):\n"
        "        super().__init__()\n"
        "        self.layers = nn.Sequential(\n"
        "            nn.Conv3d(in_channels, width, 3, padding=1), nn.ReLU(),\n"
        "            nn.Conv3d(width, out_channels, 1),\n"
        "        )\n"
        "    def forward(self, image):\n"
        "        return self.layers(image)\n"
        "class Focal(nn.Module):\n"
        "    def forward(self, logits, mask):\n"
        "        return F.cross_entropy(logits, mask, ignore_index=-1)\n"
    )
    monkeypatch.chdir(tmp_path)
    done = train(
        organs,
        tmp_path / "runs" / "own",
        "model={name: my_lab.parts.Tiny, width: 3}",
        "loss=[{name: Dice}, {name: my_lab.parts.Focal, weight: 0.5}]",
    )
    assert done.code == 0, done.err
    header = (tmp_path / "runs" / "own" / "metrics.csv").read_text().splitlines()[0]
    assert "loss/Focal" in header
    scan = organs / "imagesTr" / "organs_001_0000.nii.gz"
    assert delineate("predict", tmp_path / "runs" / "own", scan, "-o", tmp_path / "m").code == 0


def test_samples_are_changed_in_full_precision_whatever_the_step_is_computed_in(
    organs: Path, tmp_path: Path
):
    transforms = "augment=[{name: LowResolution, probability: 1.0}, {name: Affine}]"
    done = train(organs, tmp_path / "runs" / "run", "train.precision=bf16", transforms)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_flips_that_training_did_not_show_are_refused_where_asked_for(organs: Path, run: Path):
    plain = organs.parent / "runs" / "plain"
    assert train(organs, plain, "augment=[]").code == 0
    scans = str(organs / "imagesTr") if (organs / "imagesTr").is_dir() else str(organs)
    done = delineate("predict", plain, scans, "--flips", "-o", organs.parent / "masks")
    assert done.code == 2
    assert "--flips: this network was not trained on mirror images" in done.err
