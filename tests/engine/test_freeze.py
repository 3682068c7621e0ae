from types import SimpleNamespace

import pytest
import torch
from torch import nn

from delineate.engine.clock import Clock
from delineate.engine.freeze import Freeze
from delineate.engine.optim import parameter_groups
from delineate.engine.weights import Average
from delineate.errors import ConfigError


def make_task(steps=10):
    torch.manual_seed(0)
    network = nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
            "heads": nn.Conv2d(2, 2, 1),
        }
    )
    optimizer = torch.optim.AdamW(parameter_groups(network, 0.1), lr=0.1)
    clock = Clock(steps=steps)
    return SimpleNamespace(network=network, optimizer=optimizer, clock=clock)


def train(task, freeze, steps):
    for step in steps:
        task.network.train()  # as after a validation
        freeze.on_train_batch_start(None, task, None, step)
        image = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(step))
        task.optimizer.zero_grad()
        x = task.network["heads"](task.network["encoder"](image))
        x.square().mean().backward()
        task.optimizer.step()
        task.clock.step = step + 1


def state(task):
    return {name: value.clone() for name, value in task.network.state_dict().items()}


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


HEADS = {"heads.weight", "heads.bias"}


def test_frozen_weights_and_statistics_stand_still_until_their_share():
    task, freeze = make_task(), Freeze({"encoder": 0.5})
    start = state(task)
    freeze.on_train_start(None, task)
    train(task, freeze, range(5))
    half = state(task)
    assert moved(start, half) == HEADS
    train(task, freeze, range(5, 6))
    assert moved(half, state(task)) >= {"encoder.0.weight", "encoder.1.running_mean"} | HEADS


def test_a_share_of_one_is_never_thawed_but_at_the_end_of_training():
    task, freeze = make_task(), Freeze({"encoder": 1.0})
    start = state(task)
    freeze.on_train_start(None, task)
    train(task, freeze, range(11))
    assert moved(start, state(task)) == HEADS
    freeze.on_train_end(None, task)
    assert all(p.requires_grad for p in task.network.parameters())
    assert task.network["encoder"][1].training


def test_the_longest_beginning_counts():
    task, freeze = make_task(), Freeze({"encoder": 1.0, "encoder.1": 0.0})
    start = state(task)
    freeze.on_train_start(None, task)
    train(task, freeze, range(1))
    assert moved(start, state(task)) >= HEADS | {"encoder.1.weight", "encoder.1.running_var"}
    assert not moved(start, state(task)) & {"encoder.0.weight", "encoder.0.bias"}


def test_weights_that_were_frozen_before_stay_so():
    task, freeze = make_task(), Freeze({"encoder": 0.0})
    task.network["encoder"][0].weight.requires_grad_(False)
    freeze.on_train_start(None, task)
    train(task, freeze, range(1))
    freeze.on_train_end(None, task)
    assert not task.network["encoder"][0].weight.requires_grad


def test_the_average_of_a_frozen_weight_is_the_weight():
    task, freeze = make_task(), Freeze({"encoder": 1.0})
    freeze.on_train_start(None, task)
    average = Average(task.network, 0.9)
    train(task, freeze, range(3))
    average.update(task.network)
    assert moved(state(task), average.network.state_dict()) == HEADS


@pytest.mark.parametrize("broken_at", [2, 5, 7])
def test_a_resumed_training_is_the_unbroken_one_to_the_bit(broken_at):
    whole, freeze = make_task(), Freeze({"encoder": 0.5})
    freeze.on_train_start(None, whole)
    train(whole, freeze, range(10))
    broken, freeze = make_task(), Freeze({"encoder": 0.5})
    freeze.on_train_start(None, broken)
    train(broken, freeze, range(broken_at))
    resumed, freeze = make_task(), Freeze({"encoder": 0.5})
    resumed.network.load_state_dict(broken.network.state_dict())
    resumed.optimizer.load_state_dict(broken.optimizer.state_dict())
    resumed.clock.step = broken_at
    freeze.on_train_start(None, resumed)
    train(resumed, freeze, range(broken_at, 10))
    assert moved(state(whole), state(resumed)) == set()


def test_an_unknown_beginning_is_an_error():
    with pytest.raises(ConfigError, match="freeze: no weight's name begins with 'encodr'"):
        Freeze({"encodr": 0.5}).on_train_start(None, make_task())
