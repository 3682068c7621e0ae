"""How threads wait for each other: what GNU's OpenMP itself says that it does."""

import os
import re
import subprocess
import sys

import pytest

from delineate.cores import LOOKS, usable_cores

SHOW = "import delineate, torch; torch.ones(10**6).sum()"
SAYS = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "77"}


def looks(**environment: str) -> str:
    """What a new process waits for, after it has imported us and then torch."""
    outside = {name: value for name, value in os.environ.items() if name not in SAYS}
    process = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=outside | environment | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", process.stderr)
    if found is None:
        pytest.skip("torch does its arithmetic with another OpenMP than GNU's")
    return found[1]


def test_threads_sleep_soon_where_nothing_else_is_said():
    assert looks() == LOOKS


@pytest.mark.parametrize("name", SAYS)
def test_the_environment_is_kept(name: str):
    said = looks(**{name: SAYS[name]})
    assert said != LOOKS
    assert name != "GOMP_SPINCOUNT" or said == SAYS[name]


def test_there_is_a_core_to_work_with():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
