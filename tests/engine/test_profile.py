"""Sums of times, numbers of readers, numbers of operations."""

import os
import time

import pytest
import torch
from test_fit import batches
from test_step import new_task, step_of
from torch import nn

from delineate.engine import profile
from delineate.engine.profile import Stopwatch


class Event:
    """A mark in the queue of a card whose clock moves on by what each kernel takes."""

    now = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = Event.now

    def elapsed_time(self, later: "Event") -> float:
        return later.at - self.at


def test_the_parts_add_up_to_all_the_time_that_passes(monkeypatch):
    ticks = iter([10.0, 11.0, 13.0, 17.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    watch = Stopwatch("cpu")
    watch.start()
    for part in ("read", "forward", "read"):
        with watch.part(part):
            pass
    assert watch.seconds() == {"read": 5.0, "forward": 2.0}


def test_on_a_card_time_is_that_of_its_queue_in_seconds(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append(Event.now))
    watch = Stopwatch("cuda")
    watch.start()
    for part, milliseconds in (("read", 0.0), ("forward", 250.0), ("forward", 500.0)):
        with watch.part(part):
            Event.now += milliseconds
    assert watch.seconds() == {"read": 0.0, "forward": 0.75}
    assert waited == [0.0, 750.0]


@pytest.mark.parametrize(
    ("reading", "enough"), [(0.04, 0), (0.05, 0), (0.06, 1), (1.0, 1), (1.1, 2), (7.5, 8)]
)
def test_readers_are_enough_where_they_keep_up_with_a_step_of_one_second(reading, enough):
    assert profile._enough(reading, 1.0) == enough


@pytest.mark.skipif(os.name != "posix", reason="no reading processes elsewhere")
def test_no_more_readers_are_tried_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(profile, "usable_cores", lambda: 4)
    assert profile._others(0, 0) == []
    assert profile._others(0, 2) == [2]
    assert profile._others(2, 9) == [0, 4]


def test_operations_of_a_convolution_are_two_per_weight_and_voxel_each_way():
    task = new_task()
    task.network = nn.Conv2d(1, 2, 1)
    task._call = task.network
    voxels, weights = 2 * 8 * 8, 2
    # The gradient of the image is not needed: there is one way back, to the weights.
    flops = profile._count_flops(step_of(task), next(batches()))
    assert flops == 2 * (2 * voxels * weights)
