"""The benchmark of SADAAN, at a size that proves that it runs, and the literal loss beside ours."""

import sys

import pytest
import torch
from bench_scripts import loaded, measured_side

from delineate.contracts import Output, Target


@pytest.fixture
def script(monkeypatch):
    with loaded(monkeypatch, "sadaan_step") as module:
        yield module


def test_our_terms_are_the_literal_ones(script):
    image, masks, presence = script.batch(script.WORKS["tiny"])
    assert 0 < presence.float().mean() < 1
    torch.manual_seed(0)
    network = script.Literal(1, 2, (16, 16, 16), width=2)
    found = network(image)
    expected = script.literal_loss(found, masks, presence)
    output = Output(
        logits=found["segmentation_logits"],
        presence=found["absence_logits"].diff(dim=-1)[..., 0],
        extra=found,
    )
    loss = script.our_loss()
    terms = loss(output, Target(mask=masks, presence=presence))
    assert terms.keys() == {*expected, "focal_seg"}
    for name in expected.keys() - {"confidence"}:  # ours trains the head besides
        torch.testing.assert_close(
            terms[name], script.WEIGHTS[name] * expected[name], rtol=1e-4, atol=1e-6
        )
    assert terms["confidence"] > script.WEIGHTS["confidence"] * expected["confidence"]


def test_a_step_of_the_literal_side_moves_the_weights(script, monkeypatch):
    slender = script.Literal
    monkeypatch.setattr(script, "Literal", lambda *given: slender(*given, width=2))
    network, step = script.literal(script.WORKS["tiny"])
    before = [p.clone() for p in network.parameters()]
    step()
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script reads /proc")
@pytest.mark.parametrize("side", ["ours", "literal"])
def test_a_side_says_its_seconds_and_its_memory(script, monkeypatch, capsys, side):
    measured_side(script, monkeypatch, capsys, side, steps=2)


def test_the_sides_are_compared_in_time_and_memory(script, monkeypatch, capsys):
    facts = {
        "ours": {"seconds": [2.0], "idle_gb": 0.5, "peak_gb": 2.5, "weights": 7},
        "literal": {"seconds": [9.0], "idle_gb": 0.5, "peak_gb": 8.5, "weights": 7},
    }
    monkeypatch.setattr("turns.run_side", lambda script, words: [facts[words[-1]]])
    script.compare("published", steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    what = "SADAAN training step: batch 4 of 64x64x32, 13 structures"
    assert lines[2] == f"{what}: delineate 2 s, literal 9 s: 4.50 times as fast (bar 2)"
    assert lines[4] == (
        f"{what}: peak memory above the idle process 2.00 GB, literal 8.00 GB: "
        "4.0 times less (bar 3)"
    )


def test_networks_with_unequal_weights_are_not_compared(script, monkeypatch):
    facts = {"seconds": [1.0], "idle_gb": 0.1, "peak_gb": 0.2}
    monkeypatch.setattr(
        "turns.run_side", lambda script, words: [facts | {"weights": len(words[-1])}]
    )
    with pytest.raises(SystemExit, match="the networks differ in their weights"):
        script.compare("tiny", steps=1, rounds=1)
