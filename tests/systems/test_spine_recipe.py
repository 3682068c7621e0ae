"""The YAML of an experiment as a recipe: what carries over, and what is said not to."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.config import check_parts, load_config
from delineate.errors import ConfigError
from delineate.systems.spine.schema.experiment import read_experiment
from delineate.systems.spine.schema.recipe import convert_experiment, to_recipe
from delineate.systems.spine.schema.shipped import TRAINING

LESIONS = sorted((TRAINING / "experiment").rglob("*segmentation*/*.yaml"))


@pytest.mark.parametrize("path", LESIONS, ids=lambda path: path.stem)
def test_the_recipe_is_one_that_can_be_trained(path: Path, tmp_path: Path):
    out = tmp_path / "recipe.yaml"
    notes = convert_experiment(path, out)
    config = load_config(out)
    check_parts(config)
    experiment = read_experiment(path)
    assert config.train.seed == experiment.seed
    assert config.plan.batch_size == experiment.trainer.loader.batch_size
    assert config.plan.patch == (320, 320)
    assert config.optimizer.lr == experiment.trainer.lr.init_value
    text = out.read_text()
    assert all(note in text for note in notes)


def test_the_documented_lesion_network_keeps_its_size_loss_and_changes(tmp_path: Path):
    path = TRAINING / "experiment" / "lesion_segmentation" / "lesion_segmentation_latest.yaml"
    recipe, notes = to_recipe(read_experiment(path))
    assert recipe["model"] == {
        "name": "PlainUNet",
        "depth": 4,
        "init_features": 16,
        "batch_norm": True,
    }
    assert recipe["loss"] == [{"name": "Dice", "smooth": 1.0}]
    assert recipe["train"]["budget"] == "200 epochs"
    names = [part["name"] for part in recipe["augment"]]
    assert names == ["Affine", "IntensityShift", "Contrast", "GaussianNoise", "GaussianBlur"]
    turned = recipe["augment"][0]
    assert (turned["rotation_degrees"], turned["probability"]) == (15, 0.5)
    # Deviations of 10**0.5 and 50**0.5 of 255 grey values, which spread by 50.
    assert recipe["augment"][3]["deviation"] == pytest.approx([0.0632, 0.1414], abs=1e-4)
    assert [note.split(":")[0] for note in notes] == ["step"]


def test_what_has_no_counterpart_is_said(tmp_path: Path):
    folder = TRAINING / "experiment" / "lesion_segmentation"
    notes = convert_experiment(folder / "lesion_segmentation_pruned.yaml", tmp_path / "a.yaml")
    assert "callback: PruningCallback" in notes
    notes = convert_experiment(folder / "lesion_segmentation_attention.yaml", tmp_path / "b.yaml")
    assert "step: alb.CoarseDropout" in notes
    with pytest.raises(ConfigError, match="is there already"):
        convert_experiment(folder / "lesion_segmentation_latest.yaml", tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="tells classes of images"):
        convert_experiment(
            TRAINING / "experiment" / "spine_location_view" / "spine_location_view_latest.yaml",
            tmp_path / "c.yaml",
        )


def test_a_sum_of_losses_keeps_its_weights(tmp_path: Path):
    path = TRAINING / "experiment" / "lesion_segmentation" / "lesion_segmentation_latest.yaml"
    text = path.read_text().replace(
        "name: DiceLoss\n        params: {}",
        "name: CombinedLoss\n        losses: [{name: DiceLoss, weight: 0.3}, "
        "{name: FocalLoss, gamma: 3}, {name: L1Loss}]",
    )
    mine = tmp_path / "experiment" / "a" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text(text.replace("../../dataset", str(TRAINING / "dataset")))
    recipe, notes = to_recipe(read_experiment(mine, directories={"data": "d"}))
    assert recipe["loss"][:2] == [
        {"name": "Dice", "smooth": 1.0, "weight": 0.3},
        {"name": "Focal", "gamma": 3, "weight": 1.0},
    ]
    assert any(note.startswith("loss: L1Loss") for note in notes)


def test_the_command_takes_such_a_file(tmp_path: Path):
    path = TRAINING / "experiment" / "lesion_segmentation" / "lesion_segmentation_pruned.yaml"
    out = tmp_path / "recipe.yaml"
    done = CliRunner().invoke(app, ["convert", str(path), str(out)])
    assert done.exit_code == 0
    assert f"{out}: a recipe, for delineate train {out} data.root=DIR" in done.stdout
    assert "not carried over: callback: PruningCallback" in done.stdout
