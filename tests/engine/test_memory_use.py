import resource
import sys

import numpy as np
import torch

from delineate.engine import memory_use
from delineate.engine.memory_use import MEMORY_COLUMNS, memory_figures


def test_the_peak_stays_when_the_memory_is_given_back():
    before = memory_figures("cpu")["memory_gb"]
    block = np.ones(6_000_000, np.float64)
    del block
    risen = memory_figures("cpu")["memory_gb"] - before
    assert risen >= 0
    assert memory_figures("cpu")["memory_gb"] > 0.048


def test_a_cpu_has_no_figure_of_a_gpu():
    assert set(memory_figures(torch.device("cpu"))) == {"memory_gb"}
    assert MEMORY_COLUMNS == ("memory_gb", "gpu_memory_gb")


def test_without_proc_the_usage_that_the_system_counts_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_use, "_STATUS", tmp_path / "absent")
    unit = 1 if sys.platform == "darwin" else 1024
    expected = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    assert abs(memory_figures("cpu")["memory_gb"] - expected) < 0.05
