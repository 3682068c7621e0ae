"""Two processes never work in one run folder, and a dead one holds nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from delineate.errors import ConfigError
from delineate.folder_lock import LOCK, alone_in

HOLD = """
import sys
from pathlib import Path
from delineate.folder_lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_is_there(tmp_path: Path):
    pytest.importorskip("fcntl", reason="the system has no locks of this kind")
    with holder(tmp_path) as other:
        with pytest.raises(ConfigError) as refused, alone_in(tmp_path):
            pass
        other.kill()
    assert str(refused.value).startswith(f"{tmp_path}: process {other.pid} on ")
    assert str(refused.value).endswith(
        " is training here. Fix: wait for it or stop it, or choose another run_dir."
    )


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path):
    with holder(tmp_path) as other:
        other.kill()
    with alone_in(tmp_path / "deeper" / "still"), alone_in(tmp_path):
        assert (tmp_path / LOCK).is_file()


def test_nothing_stays_behind(tmp_path: Path):
    with alone_in(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []
