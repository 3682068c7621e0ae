"""The experiments in the wheel: the eight documented ones, each of which loads and makes sense."""

import re
from pathlib import Path

import pytest

from delineate.errors import ConfigError
from delineate.systems.spine.schema.experiment import read_experiment
from delineate.systems.spine.schema.shipped import TRAINING, find_dataset, write_shipped

EXAMPLES = Path(__file__).parents[2] / "examples" / "spine" / "training"
DOCUMENTED = (
    "foundation_training",
    "axial_basic_classification",
    "cervical_spine_sequence",
    "spine_location_view",
    "spinal_cord_classification",
    "spinal_cord_segmentation_pretrained",
    "lesion_segmentation",
    "lesion_segmentation_pretrained",
)
DATASETS = (
    "foundation_radimagenet",
    "cervical_spine_sequence",
    "lesion_segmentation",
    "sagittal_sc_classification",
    "sagittal_sc_segmentation",
    "spine_location_view",
)
EXPERIMENTS = sorted((TRAINING / "experiment").rglob("*.yaml"))
OWN = sorted((EXAMPLES / "experiment").rglob("*_custom.yaml"))
NAME = re.compile(r"(?P<task>\w+?)_(?P<split>s\d+|custom)_(?P<factor>1|0_\d+)_(?P<size>\d+)")


def test_every_documented_experiment_and_data_set_is_there():
    assert {path.parent.name for path in EXPERIMENTS} == set(DOCUMENTED)
    tasks = {path.name.split("_s1_")[0] for path in (TRAINING / "dataset").iterdir()}
    assert set(DATASETS) <= tasks
    for name in ("latest", "template"):
        folder = TRAINING / "experiment" / "lesion_segmentation"
        assert (folder / f"lesion_segmentation_{name}.yaml").is_file()
    assert len(EXPERIMENTS) == 14


@pytest.mark.parametrize("path", [*EXPERIMENTS, *OWN], ids=lambda path: path.stem)
def test_a_shipped_experiment_loads_without_a_warning(path: Path, caplog: pytest.LogCaptureFixture):
    found = read_experiment(path)
    assert not caplog.records
    assert found.directory.data.name == "data"
    checkpoints = [c for c in found.trainer.callbacks if c.name == "ModelCheckpoint"]
    assert [c.params["monitor"].partition("_")[0] for c in checkpoints] == ["val"]
    logged = {f"{phase}_{metric.label}" for metric in found.metric for phase in metric.phase}
    assert checkpoints[0].params["monitor"] in logged
    # The loss brings its own activation: the network has none.
    assert found.model.params.get("out_activation") is None
    for step in found.data.preprocess:
        random = "p" in step.params
        assert step.phase == (("train",) if random else step.phase), step
        assert step.target, step


def test_names_of_data_sets_say_task_split_share_and_size():
    for path in [*TRAINING.glob("dataset/*.yaml"), *EXAMPLES.glob("dataset/*.yaml")]:
        told = NAME.fullmatch(path.stem)
        assert told, path.stem
        text = path.read_text()
        assert f"height: {told['size']}" in text
        share = float(told["factor"].replace("_", "."))
        assert (f" n: {share:g}\n" in text) == (share != 1)


def test_the_example_is_what_is_shipped_and_a_package_of_ones_own(tmp_path: Path):
    assert write_shipped(tmp_path / "training") == len(list(TRAINING.rglob("*.yaml")))
    for path in TRAINING.rglob("*.yaml"):
        name = path.relative_to(TRAINING)
        assert (EXAMPLES / name).read_text() == path.read_text(), f"{name} differs"
        assert (tmp_path / "training" / name).read_text() == path.read_text()
    with pytest.raises(ConfigError, match="is there already"):
        write_shipped(tmp_path / "training")


def test_a_data_set_is_found_by_its_name(tmp_path: Path):
    name = "lesion_segmentation_s1_1_320"
    assert find_dataset(name, tmp_path / "a.yaml") == TRAINING / "dataset" / f"{name}.yaml"
    mine = tmp_path / "dataset" / f"{name}.yaml"
    mine.parent.mkdir()
    mine.write_text("dataset: {}\n")
    assert find_dataset(name, tmp_path / "experiment" / "a" / "b.yaml") == mine
    assert find_dataset(str(mine), tmp_path) == mine


def test_the_experiment_in_the_page_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    page = EXAMPLES.parents[2] / "docs" / "how-to" / "spine.md"
    block = page.read_text().split("```\nproject_name")[1].split("```")[0]
    path = tmp_path / "experiment" / "a" / "page.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"project_name{block}")
    write_shipped(tmp_path / "shipped")
    for name in ("dataset", "_directory.yaml"):
        (tmp_path / "shipped" / name).rename(tmp_path / name)
    assert read_experiment(path).trainer.epochs == 200
    assert not caplog.records
