"""A pipeline of stages that is killed inside its second one, against the one left in peace."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from delineate.datasets import synthesise
from delineate.package import open_model

RECIPE = """\
data: {root: scans, folds: 2}
plan: {memory_gb: 1, width: 4}
model: {name: LightUNet, deep_supervision: true}
augment: [{name: Flip, axes: left_right}, {name: GaussianNoise}]
optimizer: {name: AdamW, lr: 3e-3}
train: {budget: 30 steps, validations: 3, ema: 0.9, checkpoint: 1 steps, device: cpu, workers: 0}
stages:
  - name: first
    train: {budget: 4 steps}
  - name: second
    plan: {patch: [16, 16]}
    loss: [{name: Dice}]
  - name: third
    train: {budget: 6 steps}
    optimizer: {lr: 1e-3}
"""
STAGES = ("first", "second", "third")
PATIENCE = 1200
"""Seconds, for a machine that has much else to do."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    synthesise("slices", folder / "scans", cases=6, shape=(32, 32), layout="folders")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def begin(home: Path, name: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    start = "from delineate.cli import main; main()"
    words = ("train", "recipe.yaml", f"run_dir={name}")
    return subprocess.Popen(
        [sys.executable, "-c", start, *words],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(home: Path, name: str) -> str:
    process = begin(home, name)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return said


def stop(home: Path, name: str, number: int, *, after: int) -> int:
    """Send the signal when the second stage has saved its state of that step; the exit code."""
    process, states = begin(home, name), home / name / "second" / "checkpoints"
    wanted = f"state-{after:08d}.safetensors"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.name >= wanted for path in states.glob("state-*.safetensors")):
            process.send_signal(number)
            break
        time.sleep(0.002)
    process.communicate(timeout=PATIENCE)
    return process.returncode


def made(run: Path) -> tuple[bytes, list[dict[str, str]], bytes]:
    """All that a stage leaves, but for time and memory."""
    with (run / "metrics.csv").open() as file:
        rows = [{**row, "seconds": "", "memory_gb": ""} for row in csv.DictReader(file)]
    weights = (run / "checkpoints" / "best.safetensors").read_bytes()
    return weights, rows, (run / "validation" / "table.csv").read_bytes()


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    said = finish(home, "whole")
    assert "stage 3 of 3, third: begins with the weights of whole/second" in said
    return home / "whole"


@pytest.mark.slow
def test_a_pipeline_that_is_killed_inside_its_second_stage_ends_in_the_same_bits(home, whole):
    assert stop(home, "killed", signal.SIGKILL, after=5) == -signal.SIGKILL
    killed = home / "killed"
    first = (killed / "first" / "report.html").stat().st_mtime_ns
    assert not (killed / "second" / "report.html").exists()
    assert stop(home, "killed", signal.SIGKILL, after=17) == -signal.SIGKILL
    said = finish(home, "killed")
    assert "stage 1 of 3, first: finished\n" in said
    assert "stage 2 of 3, second: goes on\n" in said
    assert "goes on from step " in said
    assert (killed / "first" / "report.html").stat().st_mtime_ns == first
    for stage in (*STAGES, ""):
        assert made(killed / stage) == made(whole / stage), stage


@pytest.mark.slow
def test_sigterm_inside_a_stage_saves_it_and_the_same_command_goes_on(home, whole):
    assert stop(home, "ended", signal.SIGTERM, after=8) == 143
    finish(home, "ended")
    for stage in STAGES:
        assert made(home / "ended" / stage) == made(whole / stage), stage


@pytest.mark.slow
def test_a_stage_alone_is_the_stage_of_the_whole(home, whole):
    for stage in STAGES:
        start = "from delineate.cli import main; main()"
        words = ("train", "recipe.yaml", "run_dir=single", "--stage", stage)
        subprocess.run(
            [sys.executable, "-c", start, *words], cwd=home, check=True, capture_output=True
        )
        assert made(home / "single" / stage) == made(whole / stage), stage
    assert "stage 3 of 3, third: finished\n" in finish(home, "single")
    assert made(home / "single") == made(whole)


@pytest.mark.slow
def test_every_weight_of_a_stage_is_accounted_for_and_the_whole_predicts(whole):
    start = json.loads((whole / "second" / "start.json").read_text())
    assert start["counts"]["loaded"] > 0
    assert start["shares"]["loaded"] + start["shares"]["adapted"] > 0.9
    summary = json.loads((whole / "stages.json").read_text())["stages"]
    assert [entry["state"] for entry in summary] == ["finished"] * 3
    assert summary[1]["patch"] == [16, 16]
    assert summary[1]["carried"]["summary"] == start["summary"]
    assert len(open_model(whole).networks) == 1


GROWING = """\
data: {root: scans, folds: 2}
plan: {memory_gb: 1, patch: [32, 32], batch_size: 2}
model: {name: HybridCNNTransformer, base_filters: 8, blocks: [1], depth: 2}
optimizer: {name: AdamW, lr: 3e-3}
train: {budget: 6 steps, validations: 1, ema: 0.9, device: cpu, workers: 0}
stages:
  - name: plain
    model: {attention: false, transformer: false}
  - name: gated
    model: {base_filters: 16, depth: 3, transformer: false}
  - name: whole
    model: {base_filters: 16, depth: 3}
"""


@pytest.mark.slow
def test_a_network_that_grows_begins_each_stage_as_the_one_before_it(home):
    (home / "recipe.yaml").write_text(GROWING)
    said = finish(home, "grown")
    (home / "recipe.yaml").write_text(RECIPE)
    assert said.count(": the same function") == 2
    for stage in ("gated", "whole"):
        start = json.loads((home / "grown" / stage / "start.json").read_text())
        assert start["proof"]["exact"]
        assert start["shares"]["loaded"] + start["shares"]["adapted"] > 0.1
