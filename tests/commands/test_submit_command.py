"""`delineate submit`: mistakes are told before the queue, and a dry run leaves nothing."""

from pathlib import Path

import pytest
from terminal import delineate


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a queue that numbers its jobs."""
    monkeypatch.chdir(tmp_path)
    queue = tmp_path.with_name(f"{tmp_path.name}-bin")
    queue.mkdir()
    program = queue / "sbatch"
    program.write_text(f'#!/bin/bash\necho "$@" >> {queue}/asked; wc -l < {queue}/asked\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{queue}:/usr/bin:/bin")
    return tmp_path


KEYS = ("starter", "data.root=DATA", "run_dir=runs/first")


def command(script: str) -> str:
    (line,) = [line for line in script.splitlines() if line.startswith("srun ")]
    return line.partition(" delineate ")[2].removesuffix(" || code=$?")


def test_a_recipe_is_trained(here: Path):
    done = delineate("submit", *KEYS, "--time", "90", "--dry-run")
    assert command(done.out) == "train starter data.root=DATA run_dir=runs/first"
    assert "#SBATCH --job-name=first\n" in done.out
    assert not list(here.iterdir())


def test_any_command_is_taken_after_two_dashes():
    words = ("predict", "r", "s", "-o", "masks")
    done = delineate("submit", "--time", "90", "--dry-run", "--", *words)
    assert command(done.out) == "predict r s -o masks"
    assert "#SBATCH --job-name=predict\n" in done.out


def test_what_is_submitted_is_said():
    done = delineate("submit", *KEYS, "--time", "90")
    assert (done.code, done.out) == (0, "Job 1: slurm/first.sh\n")


def test_folds_are_followed_by_what_pools_them(here: Path):
    done = delineate("submit", *KEYS, "data.folds=2", "--time", "90", "--array", "folds")
    assert done.out == (
        "Job 1: slurm/first.sh, folds 0, 1\nJob 2: slurm/first-pooled.sh, after job 1\n"
    )
    text = (here / "slurm" / "first-pooled.sh").read_text()
    assert command(text) == "crossval starter data.root=DATA run_dir=runs/first data.folds=2"


def test_the_users_lines_come_from_a_file(here: Path):
    (here / "lines.sh").write_text("module load cuda\n")
    words = ("--time", "90", "--environment", "lines.sh", "--dry-run")
    assert "\nmodule load cuda\n" in delineate("submit", *KEYS, *words).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*KEYS, "train.epoch=5"), "unknown key 'train.epoch'"),
        ((*KEYS, "model.name=Unet"), "UNet"),
        ((*KEYS, "stages=[{name: a, model: {name: Unet}}]"), "UNet"),
        ((*KEYS, "data.folds=null", "--array=folds"), "nothing to cross"),
        ((*KEYS, "--nodes=2"), "--nodes 2: a training runs on one GPU of one machine"),
        ((*KEYS, "--gpus=2"), "--gpus 2: a command uses one GPU"),
        ((*KEYS, "--environment=gone.sh"), "gone.sh: No such file"),
        (("--", "train", *KEYS, "--restart"), "each life of the job would begin anew"),
        (("--array=folds", "--", "doctor", "DATA"), "`doctor` is another command"),
        (("--array=folds", "--", "train", *KEYS, "--stage=small"), "No such option: --stage"),
        (("--", "submit", *KEYS, "--time=90"), "a job that submits"),
    ],
)
def test_a_mistake_is_told_before_the_queue(here: Path, words: tuple[str, ...], message: str):
    done = delineate("submit", "--time=90", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (here / "slurm").exists()


def test_a_word_that_a_command_lacks_is_told_before_the_queue():
    done = delineate("submit", "--time=90", "--", "predict", "runs/first", "scans")
    assert done.code == 2
    assert "--out" in done.err
