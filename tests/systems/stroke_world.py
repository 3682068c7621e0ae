"""A copy of examples/stroke to run in, with a small data set and a small configuration."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from stroke_cases import TINY, write_atlas

EXAMPLES = Path(__file__).parents[2] / "examples" / "stroke"
PATIENCE = 900
"""Seconds, for a machine that has much else to do."""


def copy_world(data: Path, here: Path) -> Path:
    """The folder to be in."""
    kept = shutil.ignore_patterns("__pycache__")
    world = Path(shutil.copytree(EXAMPLES, here / "stroke", ignore=kept))
    write_atlas(data, world / "Atlas_2")
    (world / "config" / "default.yaml").write_text(TINY)
    return world


def begin(world: Path, *words: str) -> subprocess.Popen[str]:
    """A program of the folder in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=world,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def run(world: Path, *words: str) -> tuple[str, str]:
    """What it says when it is done; any other exit code than 0 fails."""
    process = begin(world, *words)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out, err


def kill_when(world: Path, glob: str, *words: str) -> int:
    """Kill the program when a file of that name is there; its exit code."""
    process, deadline = begin(world, *words), time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if any(world.glob(glob)):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.communicate(timeout=PATIENCE)
    return process.returncode
