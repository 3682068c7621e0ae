"""A SLURM of one node on this machine: Debian's slurm-wlm and munge, in a folder of its own."""

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
SYSTEM = ("/usr/sbin", "/usr/local/sbin")
"""Daemons lie where the PATH of a user may not lead."""

CONFIGURATION = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=1,bf_interval=2
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes={host} PriorityTier=2 PreemptMode=OFF
"""


def missing_programs() -> list[str]:
    """What has to be installed first."""
    return [name for name in PROGRAMS if _find(name) is None]


@dataclass(frozen=True)
class Slurm:
    """A queue that is running, and the variables by which its programs find it."""

    folder: Path
    environment: dict[str, str]

    def ask(self, *words: str, cwd: Path | None = None) -> str:
        """What one of SLURM's programs answers."""
        done = subprocess.run(
            words, env=self.environment, cwd=cwd, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}\n{self.logs()}"
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """What the queue knows of a job, by SLURM's own names."""
        return dict(re.findall(r"(\w+)=(\S+)", self.ask("scontrol", "show", "job", number)))

    def state(self, number: str) -> str:
        """PENDING, RUNNING, COMPLETED, ..."""
        return self.job(number)["JobState"]

    def restarts(self, number: str) -> int:
        """How often it was queued again."""
        return int(self.job(number)["Restarts"])

    def until(self, true: Callable[[], bool], what: str, *, seconds: float = 200) -> None:
        """Wait for something; say what it was if it does not come."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        """The last of what the queue and the daemons say."""
        texts = [self.folder / "slurmctld.log", self.folder / "slurmd.log"]
        last = ["\n".join(t.read_text().splitlines()[-30:]) for t in texts if t.is_file()]
        return "\n\n".join(last)


@contextmanager
def running_slurm(folder: Path, *, cpus: int) -> Iterator[Slurm]:
    """Start the daemons, and stop them and every job at the end."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0],
        ports=(_free_port(), _free_port()),
        user=_user(),
        folder=folder,
        cpus=cpus,
    )
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    slurm = Slurm(folder, os.environ | {"SLURM_CONF": str(folder / "slurm.conf")})
    files = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge.pid"}
    files |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    with ExitStack() as daemons:
        words = [f"--{name}={path}" for name, path in files.items()]
        daemons.enter_context(_daemon(slurm, "munged", "--foreground", "--force", *words))
        slurm.until((folder / "munge.socket").exists, "munge is up", seconds=20)
        daemons.enter_context(_daemon(slurm, "slurmctld", "-D", "-c"))
        daemons.enter_context(_daemon(slurm, "slurmd", "-D"))
        slurm.until(lambda: _is_up(slurm), "the node is idle", seconds=60)
        try:
            yield slurm
        finally:
            slurm.ask("scancel", f"--user={_user()}")
            slurm.until(lambda: not slurm.ask("squeue", "--noheader"), "the queue is empty")


@contextmanager
def _daemon(slurm: Slurm, name: str, *words: str) -> Iterator[None]:
    program = _find(name)
    assert program is not None
    with (slurm.folder / f"{name}.out").open("w") as said:
        process = subprocess.Popen(
            [program, *words], env=slurm.environment, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def _is_up(slurm: Slurm) -> bool:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"],
        env=slurm.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return "idle" in done.stdout


def _find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM]))


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
