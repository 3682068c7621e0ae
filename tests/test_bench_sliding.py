"""The benchmark of the sliding window, at a size that proves that it runs."""

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from bench_scripts import loaded


@pytest.fixture
def sliding(monkeypatch):
    """On a small scan."""
    with loaded(monkeypatch, "sliding") as module:
        monkeypatch.setattr(module, "SHAPE", (10, 12, 9))
        monkeypatch.setattr(module, "PATCH", 6)
        yield module


def test_our_side_predicts_what_the_network_says_of_each_voxel(sliding):
    image, network = sliding.scan(sliding.SHAPE), sliding.head(3)
    found = sliding.ours(image, network, 3, patch=6)()
    expected = network(image[None])[0].argmax(0).numpy()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="the script reads /proc")
@pytest.mark.parametrize("words", [(), ("--memory-gb", "64")])
def test_a_side_says_its_seconds_and_its_memory(sliding, monkeypatch, capsys, words):
    monkeypatch.setattr(
        sys, "argv", ["sliding.py", "--side", "ours", "--classes", "2", "--runs", "2", *words]
    )
    before = torch.get_num_threads()
    sliding.main()
    torch.set_num_threads(before)
    found = json.loads(capsys.readouterr().out)
    assert len(found["seconds"]) == 2
    assert 0 < found["idle_gb"] <= found["peak_gb"]


def test_the_sides_are_compared_in_time_and_memory(sliding, monkeypatch, capsys):
    facts = {
        "ours": {"seconds": [0.5, 0.4], "idle_gb": 0.3, "peak_gb": 1.0},
        "nnunet": {"seconds": [3.2, 3.6], "idle_gb": 0.5, "peak_gb": 3.4},
    }
    monkeypatch.setattr(sliding, "run_side", lambda script, words: [facts[words[1]]])
    sliding.compare(32, 1)
    line, _, remark, _ = capsys.readouterr().out.splitlines()
    assert line.endswith("delineate 0.4 s, nnU-Net 3.2 s: 8.00 times as fast (bar 6)")
    assert remark.endswith("peak memory above the idle process 0.70 GB, nnU-Net 2.90 GB")


def test_the_budget_is_shown_with_the_peak(sliding, monkeypatch, capsys):
    fact = {"seconds": [9.04], "idle_gb": 0.3, "peak_gb": 1.926}
    monkeypatch.setattr(sliding, "run_side", lambda script, words: [fact])
    sliding.hold_budget()
    assert capsys.readouterr().out.splitlines()[0] == (
        "128 classes within 2 GB: the process holds 1.93 GB at its peak and takes 9.0 s"
    )


@pytest.mark.skipif(find_spec("nnunetv2") is not None, reason="the peer is installed here")
def test_without_the_peer_our_budget_is_shown_and_the_rest_refused(sliding, monkeypatch):
    shown = []
    monkeypatch.setattr(sliding, "hold_budget", lambda: shown.append(1))
    monkeypatch.setattr(sys, "argv", ["sliding.py"])
    with pytest.raises(SystemExit, match="sliding: nnunetv2 is not installed here"):
        sliding.main()
    assert shown


def test_a_large_volume_is_predicted_within_its_budget(sliding, monkeypatch, capsys):
    monkeypatch.setattr(sliding, "LARGE_SHAPE", (8, 8, 12))
    monkeypatch.setattr(sliding, "LARGE_CLASSES", 3)
    before = torch.get_num_threads()
    sliding.predict_large(6, 0.5)
    torch.set_num_threads(before)
    assert capsys.readouterr().out.startswith("8x8x12 voxels, 3 classes within 6 GB: the process")
