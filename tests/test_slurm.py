"""A real SLURM trains two folds that are preempted and warned, and they end in the same bits."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_here import Slurm

from delineate.datasets import synthesise

# The pace changes no figure: it leaves time to be interrupted in.
NETWORK = """
import os
import time
from torch import nn

class Slow(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        super().__init__(
            nn.Conv2d(in_channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
            nn.Conv2d(8, out_channels, 1),
        )

    def forward(self, image):
        time.sleep(float(os.environ.get("PACE", "0")))
        return super().forward(image)
"""
KEYS = (
    "starter", "data.root=scans", "data.folds=2", "plan.width=4", "plan.memory_gb=1",
    "model={name: slow.Slow}", "train.budget=80 steps", "train.validations=2", "train.ema=0.9",
    "train.checkpoint=1 steps", "predict.flips=false",
)  # fmt: skip
QUEUED = ("--time=10", "--partition=low", "--gpus=0", "--cpus=1")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(NETWORK)
    synthesise("slices", tmp_path / "scans", cases=6, shape=(32, 32), layout="folders")
    return tmp_path


def delineate(place: Path, environment: dict[str, str], *words: str) -> str:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-c", "from delineate.cli import main; main()", *words],
        cwd=place,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(run: Path) -> tuple[object, ...]:
    """All that a training leaves, but for time and memory."""
    with (run / "metrics.csv").open() as file:
        rows = [{**row, "seconds": "", "memory_gb": ""} for row in csv.DictReader(file)]
    weights = (run / "checkpoints" / "best.safetensors").read_bytes()
    return rows, weights, (run / "validation" / "table.csv").read_bytes()


def step(run: Path) -> int:
    """The last one whose state is saved."""
    states = sorted(run.glob("checkpoints/state-*.safetensors"))
    return int(states[-1].stem.partition("-")[2]) if states else 0


@pytest.mark.slow
def test_folds_that_are_preempted_and_warned_end_as_if_left_in_peace(slurm: Slurm, place: Path):
    delineate(place, dict(os.environ), "crossval", *KEYS, "run_dir=peace/cv")
    paced = slurm.environment | {"PACE": "0.1"}
    said = delineate(place, paced, "submit", *KEYS, "run_dir=cv", "--array=folds", *QUEUED)
    array, pooling = re.findall(r"Job (\d+)", said)
    tasks = [f"{array}_{fold}" for fold in (0, 1)]
    folds = [place / "cv" / f"fold_{fold}" for fold in (0, 1)]

    # A more urgent job takes the whole node: both folds are told to end, and queued again.
    slurm.until(lambda: all(step(fold) > 3 for fold in folds), "both folds train")
    slurm.ask("sbatch", "--partition=high", "--cpus-per-task=2", "--wrap=true", cwd=place)
    slurm.until(lambda: [slurm.restarts(task) for task in tasks] == [1, 1], "both are queued again")
    before = step(folds[1])

    # One fold goes on, and then hears what SLURM sends before the end of the time.
    slurm.until(lambda: step(folds[1]) > before + 3, "fold 1 goes on")
    slurm.ask("scancel", "--signal=USR1", tasks[1])
    slurm.until(lambda: slurm.restarts(tasks[1]) == 2, "fold 1 puts itself into the queue")

    slurm.until(lambda: slurm.state(pooling) == "COMPLETED", "scores are pooled", seconds=300)
    assert slurm.restarts(tasks[0]) == 1
    for fold, (task, run) in enumerate(zip(tasks, folds, strict=True)):
        log = (place / "slurm" / f"cv-{task}.out").read_text()
        assert log.count("Stopped by SIGTERM. The same command goes on from step") == 1
        assert log.count("Stopped by SIGUSR1. The same command goes on from step") == fold
        assert (run / "log.txt").read_text().count(" INFO goes on from step") == 1 + fold
        assert made(run) == made(place / "peace" / "cv" / run.name)
    ours, theirs = (folder / "table.csv" for folder in (place / "cv", place / "peace" / "cv"))
    assert ours.read_bytes() == theirs.read_bytes()
