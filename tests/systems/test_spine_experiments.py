"""The eight experiments in turn, each from the weights of those before, and the cascade of them."""

import logging
from pathlib import Path

import pytest
import spine_world
from typer.testing import CliRunner

from delineate.systems.spine.schema.experiment import read_experiment
from ml_framework.main import app

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ORDER = (
    "foundation_training/foundation_training_latest",
    "axial_basic_classification/axial_basic_classification_latest",
    "spine_location_view/spine_location_view_latest",
    "cervical_spine_sequence/cervical_spine_sequence_latest",
    "spinal_cord_classification/spinal_cord_classification_latest",
    "spinal_cord_segmentation_pretrained/spinal_cord_segmentation_pretrained_latest",
    "lesion_segmentation/lesion_segmentation_latest",
    "lesion_segmentation/lesion_segmentation_attention",
    "lesion_segmentation/lesion_segmentation_ducknet",
    "lesion_segmentation/lesion_segmentation_pruned",
    "lesion_segmentation_pretrained/lesion_segmentation_pretrained_latest",
    "lesion_segmentation_pretrained/lesion_segmentation_pretrained_attention",
)
TOLD = ("radimagenet", "axial_basic", "spine_location_view", "cervical_spine_sequence")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with data of every kind."""
    training = spine_world.copy_world(tmp_path_factory.mktemp("experiments"))
    for name in TOLD:
        spine_world.write_classes(training / "data" / name)
    spine_world.write_classes(training / "data" / "sagittal_sc_classification", classes=2)
    for name in ("lesion_segmentation", "sagittal_sc_segmentation"):
        spine_world.write_masks(training / "data" / name)
    return training


def test_each_begins_where_another_ended_and_the_cascade_takes_them(
    world: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from delineate.systems.spine.learning.trainer import train

    monkeypatch.chdir(world)
    caplog.set_level(logging.INFO, "delineate")
    for name in ORDER:
        path = world / "experiment" / f"{name}.yaml"
        path.write_text(path.read_text().replace("name: wandb", "name: csv"))
        experiment = read_experiment(path)
        caplog.clear()
        train(experiment)
        assert (world / "logs" / "checkpoints" / f"{path.stem}.ckpt").is_file()
        begun = [r.message for r in caplog.records if r.message.startswith("pretrained: ")]
        assert bool(begun) == bool(experiment.model.params.get("pretrained")), name
    settings = (world / "cascade.yaml").read_text()
    ids = "[141, 142, 143, 144, 145, 146, 147, 148, 149]"
    for kept in (ids, "[2]", "[3]", "[1]"):
        settings = settings.replace(f"keep: {kept}", "keep: [0, 1]")
    (world / "mine.yaml").write_text(settings)
    slices = "data/lesion_segmentation/test/images"
    done = CliRunner().invoke(
        app, ["cascade", "--config", "mine.yaml", "-i", slices, "-o", "output"]
    )
    assert done.exit_code == 0, done.output
    report = (world / "output" / "report.csv").read_text()
    assert len(report.splitlines()) == 2
