"""Training by the command line, killed and begun again, against the one that was left in peace."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from delineate.datasets import synthesise
from delineate.engine.state_file import read_state

LIVES = Path(__file__).with_name("many_lives.py")
SMALL = ("data.folds=2", "plan.width=4", "plan.memory_gb=1", "train.validations=3", "train.ema=0.9")
NETWORK = """
from torch import nn

class Dropping(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        super().__init__(
            nn.Conv2d(in_channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Dropout(0.2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.2),
            nn.Conv2d(32, out_channels, 1),
        )
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    (folder / "dropping.py").write_text(NETWORK)
    return synthesise("slices", folder / "scans", cases=6, shape=(32, 32), layout="folders")


def train(scans: Path, name: str, *wishes: str, lives: int = 0, seed: int = 0) -> str:
    """The run `name` beside the scans; what the process says."""
    words = [
        "train", "starter", f"data.root={scans}", f"run_dir={scans.parent / name}", *SMALL,
        "model={name: dropping.Dropping}", "train.checkpoint=1 steps", *wishes,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, LIVES, str(lives), str(seed), *words],
        cwd=scans.parent,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(scans.parent)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def made(run: Path) -> tuple[object, ...]:
    """All bits that a training leaves, but for time and memory."""
    last = read_state(max((run / "checkpoints").glob("state-*.safetensors")))
    last["Validation"]["spent"] = last["clock"] = last["CsvTable"] = last["JsonLines"] = None
    with (run / "metrics.csv").open() as file:
        rows = [{**row, "seconds": "", "memory_gb": ""} for row in csv.DictReader(file)]
    return _bits(last), rows, (run / "checkpoints" / "best.safetensors").read_bytes()


def _bits(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {k: _bits(v) for k, v in value.items()}
    return [_bits(v) for v in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module")
def whole(scans: Path) -> tuple[object, ...]:
    train(scans, "whole", "train.budget=24 steps")
    return made(scans.parent / "whole")


@pytest.mark.slow
def test_a_training_that_is_killed_at_any_moment_ends_in_the_same_bits(scans, whole):
    said = train(scans, "killed", "train.budget=24 steps", lives=3)
    assert "killed 3 times" in said
    assert said.count("goes on from step") == 3
    assert made(scans.parent / "killed") == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_killed_trainings_end_in_the_same_bits(scans, whole, seed):
    train(scans, f"killed_{seed}", "train.budget=24 steps", lives=10, seed=seed)
    assert made(scans.parent / f"killed_{seed}") == whole


@pytest.mark.slow
def test_accumulated_batches_are_resumed_to_the_same_bits(scans):
    wishes = ("train.budget=20 steps", "train.accumulate=3")
    train(scans, "gathered", *wishes)
    train(scans, "gathered_killed", *wishes, lives=4, seed=1)
    assert made(scans.parent / "gathered") == made(scans.parent / "gathered_killed")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_readers_changes_no_bit(scans, whole, workers):
    train(scans, f"readers_{workers}", "train.budget=24 steps", f"train.workers={workers}", lives=2)
    assert made(scans.parent / f"readers_{workers}") == whole


@pytest.mark.slow
def test_sigterm_ends_the_command_with_143_and_says_how_to_go_on(scans):
    words = ("train", "starter", f"data.root={scans}", f"run_dir={scans.parent / 'term'}", *SMALL)
    start = "from delineate.cli import main; main()"
    wishes = ("model={name: dropping.Dropping}", "train.budget=1h", "train.workers=0")
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words, *wishes],
        cwd=scans.parent,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    metrics = scans.parent / "term" / "metrics.csv"
    while not metrics.is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    (state,) = metrics.parent.glob("checkpoints/state-*.safetensors")
    step = int(state.stem.partition("-")[2])
    assert said.splitlines()[-1] == (
        f"Stopped by SIGTERM. The same command goes on from step {step}."
    )
