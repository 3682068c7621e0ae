"""What memory the machine and our control groups leave."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from delineate.plan.main_memory import count_memory_kills, measure_memory, measure_peak

module = import_module("delineate.plan.main_memory")


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A control group of our own with the given files."""

    def make(**files: str) -> None:
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        monkeypatch.setattr(module, "_groups", lambda: iter([tmp_path]))

    return make


def test_the_machine_has_memory():
    memory = measure_memory()
    assert memory is not None
    assert 0 < memory.free <= memory.total
    assert memory.used == memory.total - memory.free
    assert count_memory_kills() >= 0


@pytest.mark.parametrize(
    ("limit", "used", "inactive"),
    [
        ("memory__max", "memory__current", "inactive_file"),
        ("memory__limit_in_bytes", "memory__usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_control_group_sets_the_limit_and_old_pages_of_files_are_free(
    group, limit, used, inactive
):
    group(**{limit: "500000000\n", used: "300000000\n", "memory__stat": f"{inactive} 100000000\n"})
    memory = measure_memory()
    assert memory is not None
    assert (memory.total, memory.free) == pytest.approx((0.5, 0.3))


def test_a_group_without_a_limit_changes_nothing(group):
    before = measure_memory()
    group(memory__max="max\n", memory__current="300\n")
    after = measure_memory()
    assert before is not None
    assert after is not None
    assert after.total == before.total


def test_a_kernel_that_does_not_tell_the_free_memory_leaves_it_to_the_system(monkeypatch):
    monkeypatch.setattr(module, "_numbers", lambda _: {"MemTotal:": 1})
    memory = measure_memory()
    assert memory is not None
    assert memory.total > 0.1


def test_processes_killed_in_the_group_are_counted(group):
    group()
    before = count_memory_kills()
    group(memory__events="low 0\noom 3\noom_kill 2\n")
    assert count_memory_kills() == before + 2


def test_the_peak_is_that_of_the_process_and_not_of_the_one_that_started_it():
    held = np.ones(50_000_000)
    own = measure_peak()
    assert own is not None
    assert own > held.nbytes / 1e9
    code = "from delineate.plan.main_memory import measure_peak as m; print(m())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(child.stdout) < held.nbytes / 1e9
