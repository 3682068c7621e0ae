"""Two processes train as one does at the same global batch, and count each case once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("liver_ddp_program.py")


def curves(folder: Path, processes: int, batch: int) -> dict:
    folder.mkdir()
    words = [sys.executable, str(PROGRAM), str(folder), str(processes), str(batch)]
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "curves.json").read_text())


@pytest.mark.slow
def test_two_processes_have_the_curves_of_one(tmp_path):
    one = curves(tmp_path / "one", 1, 4)
    two = curves(tmp_path / "two", 2, 2)
    assert len(one["steps"]) == 4
    assert two["steps"] == pytest.approx(one["steps"], abs=1e-5)
    for ours, theirs in zip(two["epochs"], one["epochs"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert one["steps"][-1] < one["steps"][0]
