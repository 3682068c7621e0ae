"""Every pipeline that the published schema allows: it loads, and trains for an epoch."""

import shutil
from pathlib import Path

import pytest
import spine_pipelines
import spine_world

from delineate.systems.spine.schema.experiment import read_experiment

PIPELINES = spine_pipelines.pipelines()
NAMES = sorted(PIPELINES)


def test_there_are_enough_pipelines_and_no_two_are_alike():
    told = [(p["model"], p["data"], p["trainer"]["optimizer"]) for p in PIPELINES.values()]
    assert len(NAMES) >= 23
    assert all(a != b for i, a in enumerate(told) for b in told[:i])
    steps = {s["name"] for p in PIPELINES.values() for s in p["data"]["preprocess"]}
    assert len(steps) >= 22


@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_loads(name: str, tmp_path: Path):
    said = PIPELINES[name]
    path = spine_pipelines.write(said, tmp_path, name)
    found = read_experiment(path, directories={"data": str(tmp_path)})
    assert found.experiment_name == name
    assert found.model.name == said["model"]["name"]
    asked = [(s["name"], tuple(s["target"]), s["params"]) for s in said["data"]["preprocess"]]
    assert [(s.name, s.target, s.params) for s in found.data.preprocess] == asked
    assert found.trainer.lr.init_value == float(said["trainer"]["lr"]["init_value"])


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated pictures for both tasks."""
    root = tmp_path_factory.mktemp("data")
    spine_world.write_masks(root / "slices")
    spine_world.write_classes(root / "classes")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_trains_for_an_epoch(name: str, slices: Path, tmp_path: Path):
    if spine_pipelines.needs_timm(name):
        pytest.importorskip("timm", exc_type=ImportError)
    from delineate.systems.spine.learning.trainer import train

    path = spine_pipelines.write(PIPELINES[name], tmp_path, name)
    folders = {"data": str(slices), "log": str(tmp_path / "logs")}
    best = train(read_experiment(path, directories=folders))
    assert best.is_file()
    tables = {file.name for file in best.parent.parent.glob("*_cases.csv")}
    assert tables == {"val_cases.csv", "test_cases.csv"}
    shutil.rmtree(tmp_path / "logs")
