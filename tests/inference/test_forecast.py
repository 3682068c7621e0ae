"""What is done within a budget, without a process that holds it: figures only."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from delineate.data import Prepared
from delineate.errors import DataError
from delineate.inference import Windows, foresee
from delineate.inference import forecast as forecast_module
from delineate.plan.main_memory import MainMemory

CHANNELS = 100
WINDOW = 20_000_000
WINDOWS = Windows(patch=(32, 32, 32), batch=4)


def scan(shape=(64, 160, 64), source=None):
    source = source or shape
    return Prepared(
        array=np.zeros((1, *shape), np.float32),
        box=tuple((0, n) for n in source),
        source_shape=source,
        spacing=(1.0, 1.0, 1.0),
        separate_axis=None,
    )


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """The process holds half a GB, and a window takes WINDOW bytes; how often that was measured."""
    calls = []

    def measure_window(*_):
        calls.append(1)
        return WINDOW

    monkeypatch.setattr(forecast_module, "held_bytes", lambda _: 500_000_000)
    monkeypatch.setattr(forecast_module, "count_window", lambda *_: WINDOW // 2)
    monkeypatch.setattr(forecast_module, "measure_window", measure_window)
    return calls


def foreseen(memory_gb, windows=WINDOWS, prepared=None, channels=CHANNELS, threshold=None):
    return foresee(
        lambda x: x,
        prepared or scan(),
        windows,
        channels=channels,
        threshold=threshold,
        memory_gb=memory_gb,
    )


def test_a_large_budget_changes_nothing_and_nothing_is_measured(measured):
    found = foreseen(8.0)
    assert found.notes == ()
    assert (found.batch, found.sums, len(found.tiling.tiles)) == (4, torch.float32, 1)
    assert found.card_gb is None
    assert not measured


def test_the_longest_axis_is_streamed_along():
    assert foreseen(8.0).axis == 1
    assert foreseen(8.0, prepared=scan((64, 64, 160))).axis == 2
    assert foreseen(8.0, prepared=scan((64, 64, 64))).axis == 0


def test_the_slice_axis_of_a_2d_network_is_streamed_along():
    windows = Windows(patch=(32, 32, 1), slice_axis=2)
    assert foreseen(8.0, windows=windows).axis == 2


def test_a_budget_is_held_down_to_the_least_and_each_step_is_said():
    notes, works = set(), []
    budget = 1.0
    while True:
        try:
            found = foreseen(budget)
        except DataError as error:
            message = str(error)
            break
        assert found.memory_gb <= budget
        works.append(found.tiling.work)
        notes |= {re.sub(r"\d+", "N", note) for note in found.notes}
        budget -= 0.002
    assert notes >= {
        "to save memory, N instead of N windows go through together",
        "to save memory, the scan is cut into N tiles: N% more windows",
        "to save memory, scores are summed in half precision",
    }
    assert works[0] == 1
    (least,) = map(float, re.findall(r"Fix: memory_gb=([0-9.]+) or more\.", message))
    assert foreseen(least).memory_gb <= least
    assert least - budget < 0.16


def test_half_precision_comes_before_tiles_that_cost_more_than_half_again():
    for budget in np.arange(0.70, 1.0, 0.005):
        try:
            found = foreseen(float(budget))
        except DataError:
            continue
        if found.sums == torch.float32:
            assert found.tiling.work <= 1.5


def test_a_refusal_names_the_window_what_is_held_and_the_least():
    with pytest.raises(DataError) as caught:
        foreseen(0.1)
    assert re.fullmatch(
        r"memory_gb=0\.1 cannot hold one window of 32x32x32 voxels and 100 channels: "
        r"that takes 0\.02 GB, beside 0\.50 GB that are held already\. "
        r"Fix: memory_gb=0\.8 or more\.",
        str(caught.value),
    )


def test_the_mask_is_part_of_the_budget():
    plain = foreseen(64.0)
    layers = foreseen(64.0, threshold=0.0)
    voxels = 64 * 160 * 64
    assert layers.memory_gb - plain.memory_gb == pytest.approx((CHANNELS - 1) * voxels / 1e9)
    larger = foreseen(64.0, prepared=scan((64, 160, 64), (128, 320, 128)))
    assert larger.memory_gb - plain.memory_gb > 7 * voxels / 1e9


def test_without_a_budget_what_is_free_counts_and_no_window_is_predicted(measured, monkeypatch):
    assert foreseen(None).notes == ()
    for free in (0.25, 0.0):
        memory = MainMemory(total=1.0, free=free)
        monkeypatch.setattr(forecast_module, "measure_memory", lambda memory=memory: memory)
        assert foreseen(None).notes
    assert not measured


def test_a_network_that_cannot_be_counted_is_measured(measured, monkeypatch):
    monkeypatch.setattr(forecast_module, "count_window", lambda *_: None)
    assert foreseen(8.0).notes == ()
    assert len(measured) == 1


CODE = """
import sys, numpy as np, torch
from pathlib import Path
from delineate.data import Prepared
from delineate.inference import Windows, foresee, predict_mask
torch.set_num_threads(1)
torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 64, 1)).eval()
shape = (130, 150, 140)
prepared = Prepared(array=np.random.default_rng(0).standard_normal((1, *shape), np.float32),
    box=tuple((0, n) for n in shape), source_shape=shape, spacing=(1.0,) * 3, separate_axis=None)
windows = Windows(patch=(64, 64, 64), overlap=0.25)
more = dict(channels=64, threshold=None)
plain = foresee(network, prepared, windows, memory_gb=100.0, **more)
budget = plain.memory_gb - float(sys.argv[1])
found = foresee(network, prepared, windows, memory_gb=budget, **more)
predict_mask(network, prepared, windows, memory_gb=budget, **more)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(len(found.tiling.tiles), found.sums, budget, int(peak) * 1024 / 1e9)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what is held")
@pytest.mark.parametrize("less", [0.0, 0.2, 0.3])
def test_a_process_holds_its_budget(less):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(less)], capture_output=True, text=True, check=True
    )
    tiles, _, budget, peak = done.stdout.split()
    assert float(peak) <= float(budget)
    assert (int(tiles) > 1) == (less > 0)


def test_a_network_is_measured_in_the_shape_that_it_sees(monkeypatch):
    shapes = []
    monkeypatch.setattr(forecast_module, "count_window", lambda _, shape: shapes.append(shape))
    foreseen(8.0, windows=Windows(patch=(32, 1, 16), slice_axis=1))
    assert shapes == [(1, 1, 32, 16)]
