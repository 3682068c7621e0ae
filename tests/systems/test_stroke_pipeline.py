"""The pipeline that is killed inside its second stage, against the one that is left in peace."""

import csv
import json
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import stroke_world
from nibabel import nifti1
from stroke_cases import MASK, names, paint, save, write_atlas

from delineate.datasets import examine, make_folds, read_dataset
from delineate.groundwork import NoBars
from delineate.plan import read_plan
from delineate.systems.stroke.settings import STAGE_NAMES
from delineate.systems.stroke.translate import SITE, training_folder

PIPELINE = ("sota_training_pipeline.py", "--progressive")
SECOND = "callbacks/stage2_attention"
FREE = re.compile(rb"[\d.]+ GB allowed \([^)]*\)")
"""What a plan says of the memory that other programs left."""


@pytest.fixture(scope="module")
def whole(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pipeline has gone through."""
    world = stroke_world.copy_world(real_data, tmp_path_factory.mktemp("pipeline"))
    stroke_world.run(world, *PIPELINE)
    return world


def made(run: Path, clocks: Sequence[str] = ("seconds", "memory_gb")) -> tuple[object, ...]:
    """All that a stage leaves, but for time and memory."""
    with (run / "metrics.csv").open() as file:
        rows = [{**row, **dict.fromkeys(clocks, "")} for row in csv.DictReader(file)]
    files = ("best_model.safetensors", "training_log.csv", "validation/table.csv")
    return rows, *((run / file).read_bytes() for file in files)


def members(model: Path) -> dict[str, bytes]:
    """What is in a package, but for its card, which tells the hours, and the card's checksum."""
    with ZipFile(model) as package:
        names = set(package.namelist()) - {"card.md", "manifest.json"}
        return {name: FREE.sub(b"", package.read(name)) for name in names}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_inside_the_second_stage_it_ends_in_the_same_bits(whole: Path, tmp_path: Path):
    world = tmp_path / "killed"
    leave = shutil.ignore_patterns("callbacks*", "models", "results", "cache")
    shutil.copytree(whole, world, ignore=leave)
    state = f"{SECOND}/checkpoints/state-*.safetensors"
    assert stroke_world.kill_when(world, state, *PIPELINE) == -signal.SIGKILL
    first = world / "callbacks" / "stage1_basic" / "report.html"
    before = first.stat().st_mtime_ns
    assert not (world / SECOND / "report.html").exists()
    _, err = stroke_world.run(world, *PIPELINE)
    assert "stage 1 of 4, stage1_basic: finished" in err
    assert "stage 2 of 4, stage2_attention: goes on" in err
    assert first.stat().st_mtime_ns == before
    for stage in STAGE_NAMES:
        assert made(world / "callbacks" / stage) == made(whole / "callbacks" / stage), stage
        model, history = f"models/{stage}_final.zip", f"results/{stage}_history.json"
        assert members(world / model) == members(whole / model), stage
        assert (world / history).read_bytes() == (whole / history).read_bytes(), stage


@pytest.mark.slow
def test_every_stage_grows_out_of_the_one_before_and_leaves_its_files(whole: Path):
    for stage in STAGE_NAMES:
        run = whole / "callbacks" / stage
        assert any((run / "tensorboard").glob("events.*"))
        history = json.loads((whole / "results" / f"{stage}_history.json").read_text())
        assert history["epoch"] == [0, 1]
        entries = json.loads((run / "memory_usage.json").read_text())
        assert [entry["epoch"] for entry in entries] == [0, 1]
        assert all(rule.nonzero for rule in read_plan(run / "plan.json").normalisation)
    for stage in STAGE_NAMES[1:]:
        start = json.loads((whole / "callbacks" / stage / "start.json").read_text())
        assert "the same function" in start["summary"]


@pytest.mark.slow
def test_results_are_those_of_the_masks_on_disk(whole: Path):
    (path,) = (whole / "results").glob("progressive_training_*.json")
    for stage, said in json.loads(path.read_text()).items():
        for case, figures in said["cases"].items():
            mask = whole / "callbacks" / stage / "validation" / f"{case}.nii.gz"
            truth = f"{case.removesuffix('_T1w')}{MASK}"
            found, true = (
                np.asarray(nifti1.load(file).dataobj) > 0
                for file in (mask, whole / "Atlas_2" / "Training" / "Masks" / truth)
            )
            both = (found & true).sum()
            assert figures["dice"] == pytest.approx(2 * both / (found.sum() + true.sum()), abs=1e-5)
            assert figures["sensitivity"] == pytest.approx(both / true.sum(), abs=1e-5)
            assert figures["specificity"] == pytest.approx(
                (~found & ~true).sum() / (~true).sum(), abs=1e-5
            )
        assert said["config"]["run_dir"] == f"callbacks/{stage}"


@pytest.mark.slow
def test_painted_cases_are_sound_and_sites_stay_together(real_data: Path, tmp_path: Path):
    root = write_atlas(real_data, tmp_path / "Atlas_2", cases=8, sites=4)
    dataset = read_dataset(training_folder(root), group=SITE.pattern)
    assert not examine(dataset, progress=NoBars().track).errors
    assert {case.group for case in dataset.cases} == {"r001", "r002", "r003", "r004"}
    folds = make_folds(dataset.cases, folds=4, seed=0)
    assert all(len({SITE.search(case)[1] for case in fold}) == 1 for fold in folds)  # pyright: ignore[reportOptionalSubscript]
    for case in dataset.cases:
        image = np.asarray(nifti1.load(case.images[0]).dataobj)
        assert image[0, 0, 0] == 0
        assert np.unique(np.asarray(nifti1.load(str(case.label)).dataobj)).tolist() == [0, 1]


def test_the_release_in_bids_is_read_with_sites_and_subjects(tmp_path: Path):
    rng = np.random.default_rng(0)
    lesion = np.zeros((12, 12, 12), bool)
    lesion[4:7, 4:7, 4:7] = True
    for name in names(4, sites=2):
        subject = name.partition("_")[0]
        place = tmp_path / "ATLAS_2" / "Training" / subject[4:8].upper() / subject / "ses-1/anat"
        image = paint(np.full(lesion.shape, 100.0), lesion, rng)
        save(place / f"{name}_T1w.nii.gz", image)
        save(place / f"{name}{MASK}", lesion.astype(np.uint8))
    dataset = read_dataset(training_folder(tmp_path / "ATLAS_2"))
    assert dataset.layout == "bids"
    assert len(dataset.cases) == 4
    assert {case.group for case in dataset.cases} == {
        "sub-r001s001", "sub-r002s002", "sub-r001s003", "sub-r002s004",
    }  # fmt: skip
    by_site = read_dataset(training_folder(tmp_path / "ATLAS_2"), group=SITE.pattern)
    assert {case.group for case in by_site.cases} == {"r001", "r002"}
