"""The benchmark of D-Former, at a size that proves that it runs."""

import sys

import pytest
from bench_scripts import loaded, measured_side


@pytest.fixture
def script(monkeypatch):
    with loaded(monkeypatch, "dformer_step") as module:
        yield module


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script reads /proc")
@pytest.mark.parametrize("side", ["ours", "lean", "literal"])
def test_a_side_says_its_seconds_and_its_memory(script, monkeypatch, capsys, side):
    found = measured_side(script, monkeypatch, capsys, side, steps=2)
    assert len(found["worked"]) == 2


FACTS = {
    "ours": {"seconds": [2.0], "worked": [3.0], "idle_gb": 0.5, "peak_gb": 2.5, "weights": 7},
    "lean": {"seconds": [2.5], "worked": [4.0], "idle_gb": 0.5, "peak_gb": 1.5, "weights": 7},
    "literal": {"seconds": [9.0], "worked": [12.0], "idle_gb": 0.5, "peak_gb": 8.5, "weights": 7},
}


def test_the_sides_are_compared_in_time_and_memory(script, monkeypatch, capsys):
    monkeypatch.setattr("turns.run_side", lambda script, words: [FACTS[words[-1]]])
    script.compare("published", steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    what = "D-Former forward and backward: 64x128x128, 14 outputs"
    assert lines[3] == f"{what}: delineate 2 s, literal 9 s: 4.50 times as fast (bar 1.5)"
    assert lines[5] == (f"{what}, checkpointing: delineate 2.5 s, literal 9 s: 3.60 times as fast")
    assert lines[7] == (f"{what}: processors worked 3 s, with checkpointing 4 s, literal 12 s")
    assert lines[9] == (
        f"{what}: peak memory above the idle process 2.00 GB, with checkpointing 1.00 GB, "
        "literal 8.00 GB: 4.0 and 8.0 times less (bar 2 with checkpointing)"
    )


def test_networks_with_unequal_weights_are_not_compared(script, monkeypatch):
    monkeypatch.setattr(
        "turns.run_side", lambda script, words: [FACTS["ours"] | {"weights": len(words[-1])}]
    )
    with pytest.raises(SystemExit, match="the networks differ in their weights"):
        script.compare("tiny", steps=1, rounds=1)
