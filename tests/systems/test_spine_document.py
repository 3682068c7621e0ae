"""Every command and every block of the document, from inside examples/spine, shortened."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import spine_world
import yaml
from spine_document import (
    CALLBACKS,
    CUSTOM_KEYS,
    CUSTOM_LOSS,
    CUSTOM_MODEL,
    CUSTOM_STEP,
    DATASET,
    INSTALL,
    MODEL,
    PREPROCESS,
    TEMPLATE,
    TRAIN,
    TRAINER,
)

import delineate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `training` lies in, installed as the document says."""
    here = tmp_path_factory.mktemp("document")
    training = spine_world.copy_world(here)
    spine_world.write_masks(training / "data" / "lesion_segmentation")
    subprocess.run([sys.executable, "-m", "venv", here / "venv"], check=True)
    packages = next((here / "venv" / "lib").glob("python*/site-packages"))
    for old in (*packages.glob("setuptools*"), packages / "pkg_resources"):
        shutil.rmtree(old, ignore_errors=True)
    # What is installed here is installed there, the sources of this package among it.
    known = [path for path in sys.path if path.endswith("site-packages")]
    source = Path(delineate.__file__).parents[1]
    (packages / "host.pth").write_text("\n".join([*known, str(source), ""]))
    said = bash(here, INSTALL)
    assert "Successfully installed ml_framework" in said
    assert "train" in said
    return here


def bash(folder: Path, lines: str) -> str:
    """What a shell says to the lines, which all succeed."""
    done = subprocess.run(
        ["bash", "-e", "-c", lines],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1500,
        env=os.environ
        | {
            "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # means: without, in pip's way of counting
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_training_commands_as_they_stand(world: Path):
    said = bash(world, TRAIN)
    logs = world / "training" / "logs"
    assert (logs / "checkpoints" / "lesion_segmentation_latest.ckpt").is_file()
    runs = sorted(logs.glob("wandb/lesion_segmentation_latest*"))
    assert [run.name for run in runs] == [
        "lesion_segmentation_latest",
        "lesion_segmentation_latest-2",
    ]
    for run in runs:
        assert list(run.glob("checkpoints/epoch=000-val_Dice=0.*.ckpt"))
        assert (run / "config.yaml").is_file()
        assert (run / "val_cases.csv").is_file()
        assert list(run.glob("samples/*.png"))
    assert list(logs.glob("wandb/offline-run-*/*.wandb"))
    assert "UNET: 1,942,299 weights" in said


def test_the_copied_template(world: Path):
    bash(world, TEMPLATE)
    training = world / "training"
    assert (training / "logs" / "checkpoints" / "my_experiment.ckpt").is_file()


def test_the_blocks_of_the_document_are_an_experiment(world: Path):
    text = "".join(
        spine_world.shortened(block)
        for block in (DATASET, PREPROCESS, MODEL, TRAINER, CALLBACKS, "directory: _directory.yaml")
    )
    (world / "training" / "blocks.yaml").write_text(text)
    bash(world, "cd training\nml_framework train --config blocks.yaml")
    run = world / "training" / "logs" / "runs" / "blocks"
    assert list(run.glob("checkpoints/epoch=000-val_Dice=0.*.ckpt"))


def test_the_custom_classes_of_the_document(world: Path):
    training = world / "training"
    custom = training / "ml_framework" / "ml_framework" / "custom"
    for old in custom.rglob("my_custom_*.py"):
        old.unlink()
    # "Create model class in ml_framework/custom/models/"
    (custom / "models" / "mine.py").write_text("import torch\n" + CUSTOM_MODEL)
    (custom / "losses" / "mine_too.py").write_text(CUSTOM_LOSS)
    (custom / "preprocess" / "and_mine.py").write_text(CUSTOM_STEP)
    experiment = yaml.safe_load(spine_world.shortened(TRAINER))
    experiment |= yaml.safe_load(CUSTOM_KEYS) | yaml.safe_load(DATASET)
    experiment["model"] |= {"loss": {"name": "MyCustomLoss"}, "last_activation": "sigmoid"}
    steps = yaml.safe_load(spine_world.shortened(PREPROCESS))["preprocess"]
    experiment["preprocess"] = [*steps, {"name": "MyCustomAugmentation", "target": ["data"]}]
    (training / "custom.yaml").write_text(yaml.safe_dump(experiment))
    lines = "cd training\nml_framework train --config custom.yaml --dry-run"
    said = bash(world, textwrap.dedent(lines))
    assert "MyCustomModel: 10 weights" in said


def test_the_network_loss_and_step_of_the_example(world: Path):
    shutil.copytree(
        spine_world.TRAINING / "ml_framework",
        world / "training" / "ml_framework",
        dirs_exist_ok=True,
    )
    path = "experiment/lesion_segmentation/lesion_segmentation_custom.yaml"
    bash(world, f"cd training\nml_framework train --config {path} --dry-run")
