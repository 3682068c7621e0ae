"""The command `ml_framework`: its words, and one message for each mistake."""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import spine_pipelines
import spine_world
from typer.testing import CliRunner

import ml_framework.base.loss
import ml_framework.base.model
import ml_framework.base.preprocess
import ml_framework.constants
import ml_framework.utils
from delineate.errors import ConfigError
from delineate.systems.spine.schema import bases
from delineate.systems.spine.schema.experiment import read_experiment
from delineate.systems.spine.schema.known_keys import LIGHTNING
from ml_framework.main import app, main

COMMANDS = ("train", "evaluate", "predict", "cascade", "new")


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says on stderr when it ends with code 2."""
    monkeypatch.setattr(sys, "argv", ["ml_framework", *words])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    return capsys.readouterr().err


def test_every_command_tells_its_words():
    done = CliRunner().invoke(app, ["--help"])
    assert all(name in done.stdout for name in COMMANDS)
    text = CliRunner().invoke(app, ["train", "-h"], env={"COLUMNS": "200"}).stdout
    for word in ("--config", "-c", "--dataset", "--dry-run", "--directory", "--resume"):
        assert word in text


def test_a_mistake_is_one_message_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, ["new", "training"])
    config = "training/experiment/lesion_segmentation/lesion_segmentation_latest.yaml"
    for words, message in (
        (("-c", "nope.yaml"), "nope.yaml: no such file."),
        (("-c", config, "--directory", "data"), "--directory data: wants data=DIR"),
        (("-c", config, "--directory", "dat=x"), "Did you mean 'data'?"),
        (("-c", config, "--directory", "x.yaml"), "--directory x.yaml: no such file."),
        (("-c", config, "--dataset", "lesion_segmentation_s9_1_320"), "Did you mean"),
        (("-c", config), "training/data/lesion_segmentation"),
    ):
        text = said(monkeypatch, capsys, "train", *words)
        assert message in text
        assert "Traceback" not in text
    assert "is there already" in said(monkeypatch, capsys, "new", "training")


def test_the_documented_classes_have_their_documented_paths():
    assert ml_framework.base.model.BaseModel is bases.BaseModel
    assert ml_framework.base.loss.BaseLoss is bases.BaseLoss
    assert ml_framework.base.preprocess.BasePreprocess is bases.BasePreprocess
    assert ml_framework.utils.read_experiment is read_experiment
    assert ml_framework.constants.PHASES == ("train", "val", "test")


def test_arguments_of_lightning_among_the_keys_are_lightnings():
    from inspect import signature

    from lightning.pytorch import Trainer

    assert set(LIGHTNING.split()) <= set(signature(Trainer).parameters)


UNKNOWN: dict[str, tuple[tuple[str | int, ...], Any, str]] = {
    "model": (("model", "name"), "UNETT", "UNET"),
    "loss": (("model", "loss"), {"name": "DiceLos"}, "DiceLoss"),
    "metric": (("metric", 0, "name"), "torchmetrics.JaccardIndexx", "JaccardIndex"),
    "callback": (("trainer", "callbacks", 0, "name"), "LearningRateMonitr", "EarlyStopping"),
    "step": (("data", "preprocess", 2, "name"), "to_grey", "to_gray"),
    "albumentation": (("data", "preprocess", 1, "name"), "alb.Resise", "Resize"),
    "crawler": (
        ("data", "dataset", "slices", "crawler", "name"),
        "segmentation",
        "segmentation_file",
    ),
    "driver": (("data", "dataset", "slices", "driver"), "pilow", "pillow"),
    "pipeline": (
        ("data", "dataset", "slices", "pipeline", 0, "name"),
        "shuffler",
        "simple_sampling",
    ),
    "scheduler": (("trainer", "lr", "scheduler"), {"name": "CosineLR"}, "CosineLRScheduler"),
    "optimizer": (("trainer", "optimizer", "name"), "Adamm", "AdamW"),
    "sampler": (("trainer", "sampler"), {"name": "Weighted"}, "WeightedRandomSampler"),
    "logger": (("logger",), {"name": "wandbb"}, "tensorboard"),
}


@pytest.mark.parametrize("part", UNKNOWN)
def test_an_unknown_name_lists_those_that_there_are(part: str, tmp_path: Path):
    from delineate.systems.spine.learning.trainer import train

    pipeline = deepcopy(spine_pipelines.pipelines()["00_draw_UNET"])
    way, value, known = UNKNOWN[part]
    section: Any = pipeline
    for key in way[:-1]:
        section = section[key]
    section[way[-1]] = value
    spine_world.write_masks(tmp_path / "slices", cases=1)
    path = spine_pipelines.write(pipeline, tmp_path, "wrong")
    folders = {"data": str(tmp_path), "log": str(tmp_path / "logs")}
    with pytest.raises(ConfigError) as caught:
        train(read_experiment(path, directories=folders))
    name = str(value["name"] if isinstance(value, dict) else value).rpartition(".")[2]
    assert name in str(caught.value)
    assert known in str(caught.value)
    assert not list(tmp_path.rglob("*.ckpt"))
