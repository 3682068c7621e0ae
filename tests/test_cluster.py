"""What SLURM is asked for, and what the script does with the end of a command."""

import subprocess
from pathlib import Path

import pytest

from delineate.cluster import Job, Request, fold_jobs, hand_in, write_script
from delineate.config import Config, load_config
from delineate.crossval import fold_configs
from delineate.errors import ConfigError
from delineate.run_folder import RunFolder

TIMES = {
    "90": 5400,
    "30:15": 1815,
    "04:00:00": 14400,
    "2-12": 216000,
    "1-00:30": 88200,
    "2-12:00:01": 216001,
}


def programs(folder: Path, **bodies: str) -> Path:
    """Stand-ins for SLURM's programs."""
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def orders(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if "#SBATCH" in line]


@pytest.mark.parametrize(("text", "seconds"), TIMES.items())
def test_a_limit_is_read_as_slurm_reads_it(text: str, seconds: int, monkeypatch):
    monkeypatch.setattr("delineate.cluster.WARNING_S", seconds / 2)
    Request(time=text)
    monkeypatch.setattr("delineate.cluster.WARNING_S", seconds / 2 + 1)
    with pytest.raises(ConfigError, match="too short"):
        Request(time=text)


@pytest.mark.parametrize("text", ["4h", "", "1-", "1:2:3:4", "-5", "UNLIMITED"])
def test_a_limit_in_another_notation_is_refused(text: str):
    with pytest.raises(ConfigError) as caught:
        Request(time=text)
    assert str(caught.value) == (
        f"--time {text}: wants minutes, HH:MM:SS or D-HH:MM:SS, such as 90, 04:00:00 or 2-12:00:00."
    )


def test_a_limit_that_leaves_no_time_between_start_and_warning_is_refused():
    with pytest.raises(ConfigError) as caught:
        Request(time="3")
    assert str(caught.value) == (
        "--time 3: too short. A job is told to save 120 s before its end. "
        "Fix: give at least 4 minutes."
    )


@pytest.mark.parametrize("gpus", ["2", "a100:4"])
def test_more_than_one_gpu_is_refused_with_the_reason(gpus: str):
    with pytest.raises(ConfigError, match=f"--gpus {gpus}: a command uses one GPU"):
        Request(time="90", gpus=gpus)


def test_gpus_that_are_no_number_are_refused():
    with pytest.raises(ConfigError, match="--gpus a100: wants 0, 1, or a kind and 1"):
        Request(time="90", gpus="a100")


def test_the_script_asks_for_what_was_wished():
    job = Job.of(["predict", "runs/a b", "scans", "-o", "masks"], "predict")
    request = Request(time="4:00:00", partition="gpu", gpus="a100:1", cpus=6)
    assert orders(write_script(job, request)) == [
        "--job-name=predict",
        "--output=slurm/predict-%j.out",
        "--partition=gpu",
        "--time=4:00:00",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=6",
        "--gres=gpu:a100:1",
        "--requeue",
        "--signal=USR1@120",
        "--open-mode=append",
    ]
    script = write_script(job, request)
    assert "delineate predict 'runs/a b' scans -o masks ||" in script


def test_no_gpu_and_no_partition_are_not_mentioned():
    script = write_script(Job.of(["doctor", "DATA"], "doctor"), Request(time="90", gpus="0"))
    assert not [order for order in orders(script) if "gpu" in order or "partition" in order]


def test_the_lines_of_a_user_come_before_the_command_and_their_orders_before_all_commands():
    environment = "#SBATCH --account=me\nmodule load cuda\n#SBATCH --mem=64G\nconda activate x"
    request = Request(time="90", environment=environment)
    lines = write_script(Job.of(["doctor", "DATA"], "doctor"), request).splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines[first].startswith("export PATH=")
    assert lines.index("#SBATCH --account=me") < lines.index("#SBATCH --mem=64G") < first
    at = lines.index("module load cuda")
    assert lines[at + 1] == "conda activate x"
    assert first < at < next(i for i, line in enumerate(lines) if line.startswith("srun "))


def test_a_name_is_safe_in_the_name_of_a_file():
    assert Job.of(["doctor"], "my run/1").name == "my-run-1"


@pytest.mark.parametrize(
    ("code", "returns", "back", "end"),
    [
        (0, 0, False, 0),
        (2, 0, False, 2),
        (143, 0, False, 143),  # preempted or cancelled: SLURM knows what is to become of it
        (138, 0, True, 0),
        (138, 99, True, 0),
        (138, 100, False, 138),
    ],
)
def test_only_a_job_that_was_warned_comes_back(tmp_path: Path, code, returns, back, end):
    there = programs(
        tmp_path / "bin",
        srun=f'echo "$@" > {tmp_path}/ran; exit {code}',
        scontrol=f'echo "$@" > {tmp_path}/asked',
    )
    script = write_script(Job.of(["train", "x y"], "x"), Request(time="90", environment="set -e"))
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            "PATH": f"{there}:/usr/bin:/bin",
            "SLURM_JOB_ID": "17",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_RESTART_COUNT": str(returns),
        },
        check=False,
    )
    assert done.returncode == end
    assert (tmp_path / "ran").read_text() == "--cpus-per-task=8 delineate train x y\n"
    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.is_file() else None) == ("requeue 17\n" if back else None)


def test_a_fold_comes_back_alone(tmp_path: Path):
    there = programs(tmp_path / "bin", srun="exit 138", scontrol=f'echo "$@" > {tmp_path}/asked')
    array, _ = fold_jobs(["starter"], folds(tmp_path / "cv"))
    variables = {"ARRAY_JOB_ID": "17", "ARRAY_TASK_ID": "4", "JOB_ID": "17"}
    subprocess.run(
        ["bash", "-c", write_script(array, Request(time="90"))],
        env={"PATH": f"{there}:/usr/bin:/bin"} | {f"SLURM_{k}": v for k, v in variables.items()},
        check=True,
    )
    assert (tmp_path / "asked").read_text() == "requeue 17_4\n"


def test_a_job_that_cannot_come_back_ends_as_what_it_was(tmp_path: Path):
    there = programs(tmp_path / "bin", srun="exit 138", scontrol="exit 1")
    script = write_script(Job.of(["doctor"], "x"), Request(time="90"))
    done = subprocess.run(
        ["bash", "-c", script], env={"PATH": f"{there}:/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 138


def folds(root: Path, *keys: str) -> list[Config]:
    return fold_configs(load_config("starter", ["data.root=DATA", f"run_dir={root}", *keys]))


def finish(run: RunFolder) -> None:
    run.validation.mkdir(parents=True)
    run.table.touch()
    run.page.touch()


def test_an_array_trains_each_fold_in_the_folder_that_a_crossval_looks_into(tmp_path: Path):
    configs = folds(tmp_path / "my cv", "data.folds=3")
    array, pooling = fold_jobs(["starter", "data.root=DATA"], configs)
    assert array.folds == (0, 1, 2)
    assert array.orders == [
        "--job-name=my-cv",
        "--array=0,1,2",
        "--output=slurm/my-cv-%A_%a.out",
    ]
    there = programs(tmp_path / "bin", srun='for word in "$@"; do echo "$word"; done')
    done = subprocess.run(
        ["bash", "-c", write_script(array, Request(time="90"))],
        env={"PATH": f"{there}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    *_, recipe, root, fold, run_dir = done.stdout.splitlines()
    assert (recipe, root, fold) == ("starter", "data.root=DATA", "data.fold=2")
    assert run_dir == f"run_dir={configs[2].run_dir}"
    assert (pooling.name, pooling.command, pooling.folds) == (
        "my-cv-pooled",
        "crossval starter data.root=DATA",
        (),
    )


def test_finished_folds_are_not_trained_again(tmp_path: Path):
    configs = folds(tmp_path / "cv", "data.folds=3")
    finish(RunFolder(configs[1].run_dir))
    assert fold_jobs(["starter"], configs)[0].folds == (0, 2)
    for config in (configs[0], configs[2]):
        finish(RunFolder(config.run_dir))
    with pytest.raises(ConfigError) as caught:
        fold_jobs(["starter"], configs)
    assert str(caught.value) == (
        f"{tmp_path / 'cv'}: every fold is finished. "
        "Fix: `delineate crossval` with the same keys pools their scores."
    )


def test_what_sbatch_answers_is_the_number_of_the_job(tmp_path: Path, monkeypatch):
    there = programs(tmp_path / "bin", sbatch=f'echo "$@" > {tmp_path}/asked; echo "18;cluster"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{there}:/usr/bin:/bin")
    job, request = Job.of(["doctor", "DATA"], "doctor"), Request(time="90")
    assert hand_in(job, request, after="17") == "18"
    assert (tmp_path / "slurm" / "doctor.sh").read_text() == write_script(job, request)
    assert (tmp_path / "asked").read_text() == (
        "--parsable --dependency=afterok:17 --kill-on-invalid-dep=yes slurm/doctor.sh\n"
    )


def test_a_refusal_of_sbatch_is_passed_on(tmp_path: Path, monkeypatch):
    there = programs(tmp_path / "bin", sbatch='echo "sbatch: error: invalid partition" >&2; exit 1')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{there}:/usr/bin:/bin")
    with pytest.raises(ConfigError) as caught:
        hand_in(Job.of(["doctor", "DATA"], "doctor"), Request(time="90"))
    assert str(caught.value) == ("sbatch refuses slurm/doctor.sh: sbatch: error: invalid partition")


def test_without_sbatch_the_dry_run_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="sbatch is not on this machine"):
        hand_in(Job.of(["doctor", "DATA"], "doctor"), Request(time="90"))
