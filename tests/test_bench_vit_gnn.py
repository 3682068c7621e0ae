"""The benchmark of ViT-GNN, at a size that proves that it runs."""

import sys

import pytest
from bench_scripts import loaded, measured_side


@pytest.fixture
def script(monkeypatch):
    with loaded(monkeypatch, "vit_gnn_step") as module:
        yield module


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script reads /proc")
@pytest.mark.parametrize("side", ["nuclei", "raster", "literal"])
def test_a_side_says_its_seconds_and_its_memory(script, monkeypatch, capsys, side):
    found = measured_side(script, monkeypatch, capsys, side, steps=1)
    assert len(found["worked"]) == 1


FACTS = {
    "nuclei": {"seconds": [2.0], "worked": [3.0], "idle_gb": 0.5, "peak_gb": 2.5, "weights": 5},
    "raster": {"seconds": [4.0], "worked": [7.0], "idle_gb": 0.5, "peak_gb": 4.5, "weights": 7},
    "literal": {"seconds": [9.0], "worked": [12.0], "idle_gb": 0.5, "peak_gb": 8.5, "weights": 7},
}


def test_the_sides_are_compared_in_time_and_memory(script, monkeypatch, capsys):
    monkeypatch.setattr("turns.run_side", lambda script, words: [FACTS[words[-1]]])
    script.compare("documented", steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    what = "ViT-GNN training step: batch 2 of 64^3, 16 classes"
    assert lines[3] == f"{what}: delineate 2 s, literal 9 s: 4.50 times as fast (bar 2)"
    assert lines[5] == (
        f"{what}, the same function: delineate 4 s, literal 9 s: 2.25 times as fast"
    )
    assert lines[7] == f"{what}: processors worked 3 s, for the same function 7 s, literal 12 s"
    assert lines[9] == (
        f"{what}: peak memory above the idle process 2.00 GB, for the same function 4.00 GB, "
        "literal 8.00 GB: 4.0 and 2.0 times less (bar 3)"
    )


def test_networks_with_unequal_weights_are_not_compared(script, monkeypatch):
    monkeypatch.setattr(
        "turns.run_side", lambda script, words: [FACTS["raster"] | {"weights": len(words[-1])}]
    )
    with pytest.raises(SystemExit, match="the networks differ in their weights"):
        script.compare("tiny", steps=1, rounds=1)
