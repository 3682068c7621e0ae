"""Benchmarks as modules, as they see themselves, and what the tests of several do with them."""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

BENCH = Path(__file__).parents[1] / "bench"


@contextmanager
def loaded(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[ModuleType]:
    """A script that computes on one thread; it and its neighbours are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCH))
    own = [path.stem for path in BENCH.glob("*.py")]
    for other in own:
        monkeypatch.delitem(sys.modules, other, raising=False)
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "THREADS", 1)
    yield module
    for other in own:
        sys.modules.pop(other, None)


def measured_side(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, side: str, *, steps: int
) -> dict[str, Any]:
    """What a process of one side says at the tiny work."""
    words = [f"{script.__name__}.py", "--side", side, "--work", "tiny", "--steps", str(steps)]
    monkeypatch.setattr(sys, "argv", words)
    before = torch.get_num_threads()
    script.main()
    torch.set_num_threads(before)
    found = json.loads(capsys.readouterr().out)
    assert len(found["seconds"]) == steps
    assert 0 < found["idle_gb"] <= found["peak_gb"]
    return found
