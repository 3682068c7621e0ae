"""The documented training from end to end, on blocks that are learnt in seconds."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from sadaan_commands import NAMES, write_set

from delineate.engine.weights import load_weights
from delineate.models import SADAAN
from delineate.systems.sadaan.command_line import CommandLine
from delineate.systems.sadaan.settings import read_settings
from delineate.systems.sadaan.training import Outcome, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
QUICK = (
    "training.num_workers=0", "training.batch_size=2", "training.gradient_accumulation_steps=1",
    "training.validate_every_n_epochs=1", "training.warmup_epochs=1", "device=cpu",
)  # fmt: skip
MAIN = "from delineate.systems.sadaan.experiment import main; main()"


class Heard:
    """A journal that remembers."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[int, float]] = {}
        self.files: list[str] = []

    def log_scalar(self, name: str, value: float, step: int, /) -> None:
        self.figures.setdefault(name, {})[step] = value

    def add_artifact(self, path: str, /) -> None:
        self.files.append(Path(path).name)


def learn(root: Path, folder: Path, *words: str) -> tuple[Outcome, Heard]:
    given = ["with", *QUICK, f"dataset_path={root}", f"checkpoint.save_dir={folder}", *words]
    journal = Heard()
    return train(read_settings(CommandLine.read(given).values), journal), journal


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sadaan") / "set")


@pytest.fixture(scope="module")
def whole(root: Path) -> tuple[Outcome, Heard]:
    return learn(
        root, root.parent / "whole", "training.num_epochs=4", "checkpoint.save_frequency=2"
    )


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_the_documented_files_are_there_with_their_keys(whole):
    folder = whole[0].weights.parent
    names = {path.name for path in folder.glob("*.pth")}
    assert names == {"best_model.pth", "checkpoint_epoch_2.pth", "checkpoint_epoch_4.pth"}
    last, best = load(folder / "checkpoint_epoch_4.pth"), load(folder / "best_model.pth")
    assert {
        "epoch", "model_state_dict", "optimizer_state_dict", "scheduler_state_dict",
        "structure_names", "is_best", "train_loss_history", "val_loss_history",
    } <= last.keys()  # fmt: skip
    assert (last["epoch"], last["is_best"], best["is_best"]) == (3, False, True)
    assert last["structure_names"] == list(NAMES)
    assert len(last["train_loss_history"]) == 4


def test_the_documented_lines_of_python_load_a_checkpoint(whole):
    checkpoint = torch.load(whole[0].weights)
    model = SADAAN(1, len(NAMES))
    optimizer = torch.optim.AdamW(model.parameters())
    model.load_state_dict(checkpoint["model_state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    same = SADAAN(1, len(NAMES))
    load_weights(same, whole[0].run / "checkpoints" / "best.safetensors")
    for name, weight in same.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def test_the_documented_figures_are_told_by_their_names(whole):
    figures = whole[1].figures
    terms = (
        "segmentation", "dice", "false_positive_suppression", "absence", "attention_supervision",
        "confidence", "focal_seg", "total",
    )  # fmt: skip
    for name in terms:
        assert sorted(figures[f"train.batch.{name}"]) == list(range(1, 9))
    for name in ("total_loss", "presence_accuracy", "mean_dice"):
        assert sorted(figures[f"train.epoch.{name}"]) == [1, 2, 3, 4]
        assert sorted(figures[f"val.epoch.{name}"]) == [1, 2, 3, 4]
    assert {"validation_loss", "presence_accuracy", "mean_dice"} == whole[0].figures.keys()
    assert figures["final.mean_dice"][4] == max(figures["val.epoch.mean_dice"].values())
    assert figures["model.total_parameters"][0] == sum(
        p.numel() for p in SADAAN(1, len(NAMES)).parameters()
    )
    assert figures["data.train_samples"][0] == 4
    losses = load(whole[0].weights.parent / "checkpoint_epoch_4.pth")["train_loss_history"]
    assert losses == list(figures["train.epoch.total_loss"].values())
    assert {"best_model.pth", "report.html"} <= set(whole[1].files)
    assert sum(name.endswith(".png") for name in whole[1].files) == 4


def test_batch_figures_are_the_unweighted_terms_of_the_total(whole):
    figures, weights = whole[1].figures, read_settings({}).loss_weights.model_dump()
    for step in range(1, 9):
        parts = [weights[key] * figures[f"train.batch.{key}"][step] for key in weights]
        assert sum(parts) == pytest.approx(figures["train.batch.total"][step], rel=1e-4)


def test_only_the_best_is_kept_and_nothing_drawn_if_asked(root: Path):
    words = ("training.num_epochs=2", "checkpoint.save_frequency=1")
    quiet = ("checkpoint.keep_best_only=True", "logging.visualize_predictions=False")
    made, journal = learn(root, root.parent / "best", *words, *quiet, "logging.log_frequency=4")
    assert [path.name for path in made.weights.parent.glob("*.pth")] == ["best_model.pth"]
    assert not list(made.run.glob("panels/*.png"))
    assert sorted(journal.figures["train.batch.total"]) == [4]


def test_early_stopping_ends_a_training_that_does_not_get_better(root: Path):
    words = ("training.num_epochs=40", "training.early_stopping_patience=2")
    still = ("training.learning_rate=1e-12", "optimizer.lr_min=0", "augmentation.enabled=False")
    _, journal = learn(root, root.parent / "early", *words, *still)
    assert max(journal.figures["train.epoch.total_loss"]) < 40


def test_a_second_training_does_not_touch_the_run_of_the_first(root: Path):
    folder = root.parent / "twice"
    first, _ = learn(root, folder, "training.num_epochs=1")
    second, _ = learn(root, folder, "training.num_epochs=1", "seed=3")
    assert (first.run.name, second.run.name) == ("run", "run_2")


def test_resume_goes_on_from_a_documented_checkpoint(root: Path, whole):
    checkpoint = whole[0].weights.parent / "checkpoint_epoch_2.pth"
    words = ("training.num_epochs=4", f"resume={checkpoint}")
    made, journal = learn(root, root.parent / "resumed", *words)
    assert sorted(journal.figures["train.epoch.total_loss"]) == [3, 4]
    assert sorted(journal.figures["train.batch.total"]) == [5, 6, 7, 8]
    before = load(checkpoint)["train_loss_history"]
    assert load(made.weights)["train_loss_history"][:2] == before
    first = whole[1].figures["train.batch.total"][5]
    assert journal.figures["train.batch.total"][5] == pytest.approx(first, rel=0.02)


def test_a_killed_training_goes_on_by_the_same_command_to_the_same_bits(root: Path):
    def start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", MAIN, "with", *words, f"checkpoint.save_dir={folder}"],
            cwd=root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    words = (*QUICK, f"dataset_path={root}", "training.num_epochs=6")
    peace, killed = root.parent / "peace", root.parent / "killed"
    said, _ = start(peace, words).communicate(timeout=300)
    assert (peace / "best_model.pth").is_file(), said
    process = start(killed, words)
    metrics = killed / "run" / "panels"
    while not (metrics.is_dir() and any(metrics.iterdir())) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert "The same command goes on from step" in said
    said, _ = start(killed, words).communicate(timeout=300)
    assert "goes on from step" in said
    one, other = (load(folder / "best_model.pth") for folder in (peace, killed))
    assert one["train_loss_history"] == other["train_loss_history"]
    for name, weight in one["model_state_dict"].items():
        assert torch.equal(weight, other["model_state_dict"][name]), name


def test_the_log_is_written_to_standard_output_for_sacred(root: Path, whole, capsys):
    logging.getLogger("delineate").warning("nobody listens here any more")
    assert "nobody" not in capsys.readouterr().out
    text = (whole[0].run / "log.txt").read_text()
    assert "epoch 4, validation: loss " in text
    assert json.loads((whole[0].run / "plan.json").read_text())["memory_gb"] == 0.0
