"""The documented job script, queued in a real SLURM, warned before its time ends."""

import re
import sys
from pathlib import Path

import pytest
import stroke_world
import yaml
from slurm_here import Slurm

SCRIPT = "scripts/sota_submission_script.sh"


@pytest.mark.slow
def test_a_job_that_is_warned_queues_itself_and_finishes(
    slurm: Slurm, real_data: Path, tmp_path: Path
):
    world = stroke_world.copy_world(real_data, tmp_path)
    default = world / "config" / "default.yaml"
    said = yaml.safe_load(default.read_text())
    said["stages"]["stage1_basic"]["epochs"] = 10
    default.write_text(yaml.safe_dump(said))
    programs = world / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    # What a user's cluster needs before Python.
    lines = (f"export PATH={programs}:$PATH", "export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=")
    (world / "environment.sh").write_text("\n".join(lines) + "\n")

    queued = ("--gres=none", "--cpus-per-task=1", "--time=10", SCRIPT, "--stage", "stage1_basic")
    (job,) = re.findall(r"job (\d+)", slurm.ask("sbatch", *queued, cwd=world))
    states = world / "callbacks" / "stage1_basic" / "checkpoints"
    slurm.until(lambda: any(states.glob("state-*.safetensors")), "an epoch is saved")
    slurm.ask("scancel", "--signal=USR1", job)
    slurm.until(lambda: slurm.restarts(job) == 1, "the job puts itself into the queue")
    slurm.until(lambda: slurm.state(job) == "COMPLETED", "the job is done", seconds=400)

    log = (world / "logs" / f"sota_training_{job}.err").read_text()
    assert log.count("Stopped by SIGUSR1. The same command goes on from step") == 1
    assert "INFO goes on from step" in (states.parent / "log.txt").read_text()
    assert (world / "models" / "stage1_basic_final.zip").is_file()
