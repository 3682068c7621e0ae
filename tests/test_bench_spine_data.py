"""The benchmark of the spine's data path, at a size that proves that it runs."""

import json
import sys

import pytest
import torch
from bench_scripts import loaded

pytest.importorskip("albumentations", reason="needs delineate[albumentations]")
cv2 = pytest.importorskip("cv2", reason="comes with albumentations")


@pytest.fixture
def bench(monkeypatch):
    """On few small pictures."""
    with loaded(monkeypatch, "spine_data") as module:
        for name, value in {"DRAWN": 3, "SIZE": 40, "WANTED": 24, "BATCH": 2}.items():
            monkeypatch.setattr(module, name, value)
        yield module


def test_the_sides_do_the_same_work(bench, tmp_path):
    bench.draw(tmp_path)
    plain = list(bench.plain(tmp_path, [])())
    for side in ("uncached", "cached"):
        own = {
            item.group.rpartition("/")[2]: (batch.image[row], batch.label[row])
            for batch in bench.MAKERS[side](tmp_path, [])()
            for row, item in enumerate(batch.slices)
        }
        found = torch.cat([batch[0] for batch in plain])
        assert len(own) == len(found) == 3
        for image, mask in own.values():
            at = next(i for i, other in enumerate(found) if torch.equal(other, image))
            assert torch.equal(torch.cat([batch[1] for batch in plain])[at], mask)


def test_a_side_says_its_seconds(bench, monkeypatch, capsys):
    words = ["spine_data.py", "--side", "cached", "--work", "light", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", words)
    threads = cv2.getNumThreads(), torch.get_num_threads()
    bench.main()
    cv2.setNumThreads(threads[0])
    torch.set_num_threads(threads[1])
    assert len(json.loads(capsys.readouterr().out)["seconds"]) == 2


def test_both_ways_of_ours_are_compared(bench, monkeypatch, capsys):
    seconds = {"plain": 0.012, "uncached": 0.01, "cached": 0.003}
    found = {side: [{"seconds": [value]}] for side, value in seconds.items()}
    monkeypatch.setattr(bench, "take_turns", lambda *_, **__: found)
    bench.compare("segmentation", steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()[::2]
    assert lines[0].endswith("plain PyTorch 0.012 s: 1.20 times as fast (bar 1)")
    assert lines[1].endswith("plain PyTorch 0.012 s: 4.00 times as fast (bar 3)")
