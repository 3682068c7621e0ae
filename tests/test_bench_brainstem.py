"""The brainstem benchmarks: nested parcellations as labels, every arm can be built, the table."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bench_scripts import loaded

from delineate.config import Config, check_parts
from delineate.datasets import read_dataset
from delineate.datasets.label_file import read_labels
from delineate.metrics import Row, Table, write_table


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    with loaded(monkeypatch, "brainstem_ablation") as module:
        yield module


@pytest.fixture
def sets(script: ModuleType) -> ModuleType:
    return sys.modules["brainstem_sets"]


def test_regions_that_are_not_divided_further_are_one_class_of_all_levels(sets):
    finest = np.array([0, 1, 2, 3, 4, 4])
    coarse = np.array([0, 1, 1, 2, 3, 3])
    labels, levels = sets._nested([coarse, finest], [["A", "B", "C"], ["B", "A2", "B", "C"]])
    assert levels == {
        "S2": ("S2_B", "S2_A2", "S1_B", "S1_C"),
        "S1": ("S1_A", "S1_B", "S1_C"),
    }
    assert {c.name: (c.id, c.parent) for c in labels.classes} == {
        "S1_A": (None, None),
        "S2_B": (1, "S1_A"),
        "S2_A2": (2, "S1_A"),
        "S1_B": (3, None),
        "S1_C": (4, None),
    }


def test_a_set_is_read_back_with_its_splits_and_its_priors(sets, tmp_path: Path):
    folder = tmp_path / "set"
    sets.write_set(sets.brainstems((16, 18, 20)), folder, train=2, test=1)
    found = read_dataset(folder / "cases.csv", labels=read_labels(folder / "labels.json"))
    assert [case.split for case in found.cases] == ["train", "train", "validation"]
    assert found.labels is not None
    assert len(found.labels.levels) == 3
    levels = json.loads((folder / "levels.json").read_text())
    assert [len(names) for names in levels.values()] == [36, 3, 1]
    sets.add_priors(folder)
    (case, *_) = read_dataset(folder / "cases_priors.csv").cases
    names = [Path(image).name for image in case.images]
    assert names == ["000.nii.gz", "1.nii.gz", "2.nii.gz", "3.nii.gz"]


def test_copies_of_the_atlas_are_bent_and_keep_its_regions(sets):
    mask = np.zeros((20, 18, 16), np.uint8)
    mask[4:10, 4:14, 4:12], mask[10:16, 4:14, 4:12] = 1, 2
    template = np.where(mask, 0.6, 0.2).astype(np.float32)
    copies = sets._copies(template, mask)
    first, second = next(copies), next(copies)
    assert set(np.unique(first.mask)) == {0, 1, 2}
    assert not np.array_equal(first.mask, second.mask)
    inside = first.image[0][first.mask > 0].mean()
    assert inside > 1.3 * first.image[0][first.mask == 0].mean()


def test_every_arm_is_a_training_that_can_be_built(script, sets, tmp_path: Path):
    folder = tmp_path / "set"
    sets.write_set(sets.brainstems((16, 16, 16)), folder, train=1, test=1)
    for name, arm in script.ARMS.items():
        found = script.settings(arm, "synthetic", folder, seconds=5, run=tmp_path / "run")
        config = Config(**found)
        check_parts(config)
        terms = {term.name for term in config.loss}
        assert ("HierarchicalFocal" in terms) == arm.hierarchy, name
        assert any(part.name == "StructureMix" for part in config.augment) == arm.cutmix, name


def scores(folder: Path, dice: list[tuple[float, float]]) -> None:
    rows = [
        Row(case=f"{i}", label=label, values={"dice": value})
        for i, values in enumerate(dice)
        for label, value in zip(("leaf", "root"), values, strict=True)
    ]
    folder.mkdir(parents=True)
    write_table(Table(tuple(rows)), folder / "table.csv")
    (folder.parent / "metrics.csv").write_text("step,loss\n10,2.5\n12,2.25\n")


def test_the_table_pairs_every_finished_arm_with_the_whole_network(script, tmp_path: Path):
    folder, runs = tmp_path / "set", tmp_path / "runs"
    folder.mkdir()
    levels = {"fine": ["leaf"], "coarse": ["root"]}
    (folder / "levels.json").write_text(json.dumps(levels))
    scores(runs / "vit-gnn" / "validation", [(0.5, 0.75), (0.5, 0.75)])
    scores(runs / "without_graph" / "validation", [(0.25, 0.75), (0.25, 0.75)])
    assert script.table(folder, runs).splitlines() == [
        "| training | steps | fine | against ViT-GNN | coarse | against ViT-GNN |",
        "|---|---|---|---|---|---|",
        "| ViT-GNN | 12 | 0.500 [0.500, 0.500] | - | 0.750 [0.750, 0.750] | - |",
        "| without graph | 12 | 0.250 [0.250, 0.250] | -0.250 [-0.250, -0.250] "
        "| 0.750 [0.750, 0.750] | +0.000 [+0.000, +0.000] |",
    ]


@pytest.mark.slow
def test_a_table_is_made_from_trainings(script, monkeypatch, capsys, tmp_path: Path):
    small = script.Work(2, 2, (16, 16, 16), shape=(24, 24, 32))
    monkeypatch.setitem(script.WORKS, "synthetic", small)
    out = tmp_path / "out"

    def alone(_: str, words: list, *, threads: int) -> list[dict]:
        name = words[words.index("--arms") + 1]
        run = script._run(out / "synthetic_runs", name)
        return [script.train(name, "synthetic", out / "synthetic", seconds=2, run=run)]

    import delineate.engine.clock as clock

    monkeypatch.setattr(clock, "time", clock.time)  # put back at the end
    monkeypatch.setattr(script, "run_side", alone)
    words = ["synthetic", "--seconds", "2", "--out", str(out), "--arms", "ViT-GNN", "with priors"]
    monkeypatch.setattr(sys, "argv", ["brainstem_ablation.py", *words])
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| ViT-GNN", "| with priors"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script reads /proc")
def test_a_prediction_of_the_whole_atlas_says_its_memory(monkeypatch, capsys):
    with loaded(monkeypatch, "brainstem_memory") as module:
        assert module.atlas().channels == 334
        module.predict(70, 0.0, None)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("70^3 voxels, 334 channels of ViT-GNN within 8 GB: the process holds ")
