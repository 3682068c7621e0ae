"""The four programs: their words, what goes over what, a user's mistakes, and all in turn."""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from liver_document import EXAMPLES, copy_world, write_raw

from delineate.systems.liver.commands import run_evaluation, run_prediction, run_training
from delineate.systems.liver.settings import (
    ModelEvaluationConfig,
    ModelPredictionConfig,
    ModelTrainingConfig,
    PreprocessingConfig,
)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "liver.md"
SETTINGS = (
    ModelTrainingConfig, PreprocessingConfig, ModelPredictionConfig, ModelEvaluationConfig,
)  # fmt: skip
FLAGS = {
    "run_data_preprocessing.py": (
        "dataset_path", "dataset_type", "output_dir", "config", "phase", "target_spacing",
        "target_size", "intensity_range", "normalize_method", "no_augmentation",
    ),
    "run_training.py": (
        "config", "model_name", "run_name", "gpus", "max_epochs", "learning_rate",
        "resume_from_checkpoint", "target_label",
    ),
    "run_prediction.py": (
        "config", "checkpoint_path", "input_dir", "output_dir", "batch_size", "gpus", "device",
        "model_name", "target_label",
    ),
    "run_evaluation.py": (
        "config", "pred_dir", "gt_dir", "csv_path", "save_csv", "print_summary", "subject_ids",
    ),
}  # fmt: skip
TINY = {
    "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2],
    "patch_size": [2, 2, 2], "group_size": [2, 2, 2],
}  # fmt: skip


def run(here: Path, *words: str, code: int = 0) -> str:
    """What a program says on both streams."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=here,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[ModelTrainingConfig]:
    """What a training is asked for, instead of one."""
    asked: list[ModelTrainingConfig] = []
    stub = SimpleNamespace(train=asked.append)
    monkeypatch.setitem(sys.modules, "delineate.systems.liver.training", stub)
    return asked


@pytest.mark.parametrize("program", FLAGS)
def test_every_documented_flag_is_there_and_help_is_light(tmp_path: Path, program: str):
    watch = (
        "import runpy, sys\n"
        f"sys.argv = [{program!r}, '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sys.modules)\n"
    )
    shown = run(copy_world(tmp_path), "-c", watch)
    for flag in FLAGS[program]:
        assert f"--{flag}" in shown
    assert not {"torch", "lightning", "numpy"} & set(shown.split())


def test_the_command_line_goes_over_the_file_and_the_file_over_the_defaults(
    tmp_path: Path, trained
):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"max_epochs": 7, "gpus": 2, "model_params": TINY}))
    run_training(["--config", str(settings), "--gpus", "0", "--target_label", "2"])
    (asked,) = trained
    assert (asked.max_epochs, asked.gpus, asked.target_label) == (7, 0, 2)
    assert (asked.learning_rate, asked.model_name) == (1e-4, "dformer3d")
    assert asked.model_params == TINY


def test_commands_in_the_pages_have_documented_flags_only():
    pages = [PAGE.read_text(encoding="utf-8"), (EXAMPLES / "README.md").read_text(encoding="utf-8")]
    lines = re.findall(r"^python (run_\w+\.py)(.*)$", "\n".join(pages), re.MULTILINE)
    assert len(lines) == 8
    for program, words in lines:
        assert set(re.findall(r"--(\w+)", words)) <= set(FLAGS[program])


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_key_is_explained_in_the_page(kind: type):
    text = PAGE.read_text(encoding="utf-8")
    assert [f.name for f in fields(kind) if f"`{f.name}`" not in text] == []


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ({"max_epoch": 3}, [], "unknown key 'max_epoch'. Did you mean 'max_epochs'?"),
        ({"optimizer": "adamm"}, [], "Did you mean 'adam'?"),
        ({}, ["--gpus", "-1"], "gpus wants"),
        ({}, ["--learning_rate", "0"], "learning_rate wants"),
        ({"num_classes": 3}, ["--target_label", "5"], "target_label is 5 but the classes are 0 to"),
    ],
)
def test_a_slip_is_one_message_and_exit_code_2(
    tmp_path: Path, trained, capsys, content: dict[str, Any], words: list[str], said: str
):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as left:
        run_training(["--config", str(settings), *words])
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert not trained


@pytest.mark.parametrize("program", [run_training, run_prediction, run_evaluation])
def test_a_flag_that_is_not_there_is_refused_and_none_is_guessed(program, capsys):
    with pytest.raises(SystemExit) as left:
        program(["--confi", "x.json"])
    assert left.value.code == 2
    assert "--confi" in capsys.readouterr().err


def test_a_lost_file_or_folder_is_one_message(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for program in (run_training, run_prediction, run_evaluation):
        with pytest.raises(SystemExit) as left:
            program([])
        assert left.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("data_preprocessed/test: no such folder.")
    assert told[1].startswith("data_preprocessed/test: no such folder.")
    assert told[2] == "predictions: no such folder of predictions."


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", [None, 2])
@pytest.mark.parametrize("patch", [None, [12, 12, 12]])
def test_from_raw_scans_to_the_table_by_the_four_programs(tmp_path: Path, target, patch):
    here = copy_world(tmp_path)
    raw = write_raw(here / "raw", cases=6)
    prepare = {
        "target_spacing": [1.5, 1.5, 1.5], "num_workers": 1,
        "target_size": [16, 16, 24] if patch is None else None,
        "train_ratio": 0.5, "val_ratio": 0.25, "test_ratio": 0.25,
    }  # fmt: skip
    train = {
        "model_params": TINY, "num_classes": 3, "num_workers": 0, "patch_size": patch,
        "precision": "32", "run_name": "first", "log_every_n_steps": 1,
    }  # fmt: skip
    (here / "prepare.json").write_text(json.dumps(prepare))
    (here / "train.json").write_text(json.dumps(train))
    words = ["--dataset_path", "raw", "--dataset_type", "medical_decathlon"]
    tree = ["--output_dir", "data_preprocessed"]
    run(here, "run_data_preprocessing.py", *words, *tree, "--config", "prepare.json")
    only = [] if target is None else ["--target_label", str(target)]
    run(here, "run_training.py", "--config", "train.json", "--max_epochs", "2", *only)
    assert (here / "checkpoints" / "last.ckpt").is_file()
    logs = here / "logs" / "ct-segmentation" / "first"
    assert (logs / "hparams.yaml").is_file()
    assert any(logs.glob("events.out.tfevents*"))
    run(here, "run_prediction.py", "--device", "cpu")
    said = run(here, "run_evaluation.py")
    assert "subject" in said
    with (here / "evaluation_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        name = row["subject_id"]
        found = nib.load(here / "predictions" / f"{name}_pred.nii.gz")
        (scan,) = (raw / "labelsTr").glob(f"{name}.nii*")
        np.testing.assert_allclose(found.affine, nib.load(scan).affine, atol=1e-5)
        assert set(np.unique(np.asarray(found.dataobj))) <= {0, 1, 2} - {target and 1}
        drawn = {k for k, v in row.items() if v} - {"subject_id"}
        if target is not None:
            assert {k.rpartition("_")[2] for k in drawn} == {"tumor"}
