"""Commands of ours as SLURM jobs: the script, the array of folds, and how a job comes back.

SLURM warns with SIGUSR1 some time before a job's limit. A training then saves and ends with 138,
and the script puts its job back into the queue, where it goes on from the saved step. A job that
is preempted hears SIGTERM, saves as well, and SLURM itself puts it back.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delineate.config import Config
from delineate.errors import ConfigError
from delineate.run_folder import RunFolder

__all__ = ["Job", "Request", "fold_jobs", "hand_in", "write_script"]

FOLDER = Path("slurm")
"""Scripts and logs, in the folder that the command is given in."""

WARNING_S = 120
"""How long before its limit a job is told to save; SLURM may do so a minute earlier."""

MOST_RETURNS = 100
"""So that a command which never gets anywhere within the limit does not come back for ever."""

LIMIT = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
GPUS = re.compile(r"(?:([\w.-]+):)?(\d+)")
TASK = '"$SLURM_ARRAY_TASK_ID"'

SCRIPT = """\
#!/bin/bash
{orders}

export PATH={programs}:"$PATH"
{environment}code=0
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" delineate {command} || code=$?

# 138: stopped by the warning before the time limit; the same command goes on in another life.
if [ "$code" -eq 138 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most} ]; then
    scontrol requeue {me} && exit
fi
exit "$code"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What SLURM is asked for; a mistake in it is a ConfigError."""

    time: str
    """The limit of one life, as SLURM writes it."""
    partition: str | None = None
    """None is the cluster's own choice."""
    gpus: str = "1"
    """How many, after the kind and a colon if it matters: 1, a100:1."""
    cpus: int = 8
    environment: str = ""
    """Lines before the command; those that begin with #SBATCH join the orders to SLURM."""

    def __post_init__(self) -> None:
        if _seconds(self.time) < 2 * WARNING_S:
            raise ConfigError(
                f"--time {self.time}: too short. A job is told to save {WARNING_S} s before its "
                f"end. Fix: give at least {2 * WARNING_S // 60} minutes."
            )
        found = GPUS.fullmatch(self.gpus)
        if found is None:
            raise ConfigError(f"--gpus {self.gpus}: wants 0, 1, or a kind and 1, such as a100:1.")
        if int(found[2]) > 1:
            raise ConfigError(
                f"--gpus {self.gpus}: a command uses one GPU, the others would stand idle. "
                "Fix: --gpus 1; `--array folds` trains the folds side by side."
            )

    @property
    def orders(self) -> list[str]:
        """Options of sbatch."""
        partition = [] if self.partition is None else [f"--partition={shlex.quote(self.partition)}"]
        gpus = [] if self.gpus.endswith("0") else [f"--gres=gpu:{self.gpus}"]
        return [
            *partition,
            f"--time={self.time}",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={self.cpus}",
            *gpus,
            "--requeue",
            f"--signal=USR1@{WARNING_S}",
            # What a life has said stays when the job comes back.
            "--open-mode=append",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command, once or once for each fold."""

    name: str
    command: str
    """What follows `delineate`, as a shell reads it."""
    folds: tuple[int, ...] = ()

    @property
    def script(self) -> Path:
        """Where the script is written."""
        return FOLDER / f"{self.name}.sh"

    @property
    def orders(self) -> list[str]:
        """Options of sbatch."""
        array = [f"--array={','.join(map(str, self.folds))}"] if self.folds else []
        log = FOLDER / f"{self.name}-{'%A_%a' if self.folds else '%j'}.out"
        return [f"--job-name={self.name}", *array, f"--output={log}"]

    @classmethod
    def of(cls, words: Sequence[str], name: str) -> "Job":
        """The command of these words, under a name that is safe in a file's name."""
        return cls(name=_safe(name), command=shlex.join(words))


def fold_jobs(words: Sequence[str], folds: Sequence[Config]) -> list[Job]:
    """An array that trains the folds which are not finished, and a job that pools all of them.

    Args:
        words: A recipe and its keys.
        folds: The configuration of each fold.
    """
    root = folds[0].run_dir.parent
    missing = tuple(c.data.fold for c in folds if not RunFolder(c.run_dir).finished)
    if not missing:
        raise ConfigError(
            f"{root}: every fold is finished. Fix: `delineate crossval` with the same keys pools "
            "their scores."
        )
    pooling = Job.of(["crossval", *words], f"{root.name}-pooled")
    place = f"data.fold={TASK} run_dir={shlex.quote(f'{root}/fold_')}{TASK}"
    command = f"{shlex.join(['train', *words])} {place}"
    return [Job(name=_safe(root.name), command=command, folds=missing), pooling]


def write_script(job: Job, request: Request) -> str:
    """The job's text for sbatch."""
    lines = request.environment.splitlines()
    theirs = [line for line in lines if line.startswith("#SBATCH")]
    before = [line for line in lines if not line.startswith("#SBATCH")]
    ours = [f"#SBATCH {order}" for order in (*job.orders, *request.orders)]
    return SCRIPT.format(
        orders="\n".join([*ours, *theirs]),
        # The programs of this installation, unless the environment puts others before them.
        programs=shlex.quote(str(Path(sys.executable).parent)),
        environment="".join(f"{line}\n" for line in before),
        command=job.command,
        # One job of an array has the number of the whole: by that all of them would come back.
        me=f'"$SLURM_ARRAY_JOB_ID"_{TASK}' if job.folds else '"$SLURM_JOB_ID"',
        most=MOST_RETURNS,
    )


def hand_in(job: Job, request: Request, *, after: str | None = None) -> str:
    """Write the script and give it to sbatch; the number of the job.

    Args:
        after: The job that must have succeeded before; if it fails, this one is cancelled.
    """
    job.script.parent.mkdir(exist_ok=True)
    job.script.write_text(write_script(job, request), encoding="utf-8")
    wait = [] if after is None else [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
    command = ["sbatch", "--parsable", *wait, str(job.script)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError(
            "sbatch is not on this machine. Fix: submit where SLURM is; --dry-run prints the "
            "script anywhere."
        ) from None
    if done.returncode != 0:
        raise ConfigError(f"sbatch refuses {job.script}: {done.stderr.strip()}")
    return done.stdout.strip().partition(";")[0]


def _seconds(limit: str) -> int:
    """Of a time as SLURM writes it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    found = LIMIT.fullmatch(limit)
    if found is None:
        raise ConfigError(
            f"--time {limit}: wants minutes, HH:MM:SS or D-HH:MM:SS, such as 90, 04:00:00 or "
            "2-12:00:00."
        )
    days, *rest = found.groups()
    numbers = [int(number) for number in rest if number is not None]
    units = (60, 1) if days is None and len(numbers) < 3 else (3600, 60, 1)
    return 86400 * int(days or 0) + sum(u * n for u, n in zip(units, numbers, strict=False))


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
