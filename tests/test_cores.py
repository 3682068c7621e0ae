"""How threads wait for each other: what GNU's OpenMP itself says that it does."""

import os
import re
import subprocess
import sys

import pytest

from delineate.cores import LOOKS, usable_cores, wait_briefly

SHOW = "import delineate, torch; torch.ones(1)"
SAID = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"


def test_threads_sleep_soon():
    outside = {name: value for name, value in os.environ.items() if name not in SAID}
    process = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=outside | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", process.stderr)
    if found is None:
        pytest.skip("torch does its arithmetic with another OpenMP than GNU's")
    assert found[1] == LOOKS


@pytest.mark.parametrize(("name", "value"), [(SAID[0], "ACTIVE"), (SAID[1], "77")])
def test_what_the_environment_says_is_kept(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    for other in SAID:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    wait_briefly()
    assert {said: os.environ[said] for said in SAID if said in os.environ} == {name: value}


def test_there_is_a_core_to_work_with():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
