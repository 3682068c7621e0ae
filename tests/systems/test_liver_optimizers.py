"""Optimisers and schedulers by their documented names, their arguments checked."""

import pytest
import torch
from liver_toys import Tiny, settings
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from delineate.errors import ConfigError
from delineate.systems.liver.lightning_module import SegmentationLightningModule
from delineate.systems.liver.optimizers import get_optimizer


@pytest.mark.parametrize(
    ("name", "cls"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_each_name_is_its_optimiser_with_the_rates_of_the_settings(tmp_path, name, cls):
    config = settings(tmp_path, optimizer=name, learning_rate=0.3, weight_decay=0.2)
    optimizer, scheduler = get_optimizer(config, Tiny())
    (group,) = optimizer.param_groups
    assert type(optimizer) is cls
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert scheduler is None
    assert name != "sgd" or group["momentum"] == 0.9


def test_further_arguments_reach_the_optimiser(tmp_path):
    config = settings(tmp_path, optimizer="sgd", optimizer_params={"momentum": 0.5})
    assert get_optimizer(config, Tiny())[0].param_groups[0]["momentum"] == 0.5


def test_weights_that_are_not_trained_are_left_alone(tmp_path):
    network = Tiny()
    network.convolution.bias.requires_grad_(False)
    optimizer, _ = get_optimizer(settings(tmp_path), network)
    assert len(optimizer.param_groups[0]["params"]) == 1


def test_the_rate_falls_by_steps(tmp_path):
    params = {"step_size": 2, "gamma": 0.1}
    config = settings(tmp_path, scheduler="step", scheduler_params=params, learning_rate=1.0)
    optimizer, scheduler = get_optimizer(config, Tiny())
    assert isinstance(scheduler, StepLR)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_the_plateau_looks_the_way_of_the_monitored_figure(tmp_path):
    params = {"factor": 0.5, "patience": 3}
    config = settings(tmp_path, scheduler="plateau", scheduler_params=params, monitor_mode="max")
    _, scheduler = get_optimizer(config, Tiny())
    assert isinstance(scheduler, ReduceLROnPlateau)
    assert (scheduler.mode, scheduler.factor, scheduler.patience) == ("max", 0.5, 3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"optimizer_params": {"beta": 1}}, "optimizer_params: .*unknown argument 'beta'.*betas"),
        ({"optimizer_params": {"eps": -1.0}}, "optimizer_params: .*epsilon"),
        ({"scheduler": "step", "scheduler_params": {"stepsize": 3}}, "'stepsize'.*step_size"),
        ({"scheduler": "step", "scheduler_params": {"step_size": "3"}}, "step_size wants a whole"),
        ({"scheduler": "step", "scheduler_params": {"step_size": 0}}, "at least 1 epoch"),
        ({"scheduler": "plateau", "scheduler_params": {"factor": 2.0}}, "scheduler_params: Factor"),
        ({"scheduler": "plateau", "scheduler_params": {"mode": "max"}}, "mode' is not said here"),
        ({"scheduler": "plateau", "scheduler_params": {"gamma": 0.1}}, "unknown argument 'gamma'"),
    ],
)
def test_wrong_arguments_are_told_before_there_is_a_training(tmp_path, keys, message):
    config = settings(tmp_path, **keys)
    with pytest.raises(ConfigError, match=message):
        SegmentationLightningModule(Tiny(), config)
