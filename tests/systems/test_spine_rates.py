"""Optimisers and schedules by name, with all their arguments."""

from math import cos, pi

import pytest
import torch
from torch import nn

from delineate.errors import ConfigError
from delineate.systems.spine.learning.cosine_rate import CosineLRScheduler
from delineate.systems.spine.learning.rates import SCHEDULES, make_optimizer
from delineate.systems.spine.schema.settings import Trainer


def made(optimizer=None, scheduler=None, *, epochs: int = 10, lr: float = 0.1):
    rate = {"init_value": lr, "scheduler": scheduler}
    said = {"epochs": epochs, "lr": rate} | ({"optimizer": optimizer} if optimizer else {})
    return make_optimizer(Trainer.model_validate(said), list(nn.Linear(1, 1).parameters()))


def rates(scheduler, epochs: int, **more) -> list[float]:
    found = made(scheduler=scheduler, epochs=epochs, **more)
    optimizer, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_an_optimizer_gets_all_its_params():
    found = made({"name": "AdamW", "params": {"weight_decay": 0.3, "betas": [0.5, 0.9]}})
    assert isinstance(found, torch.optim.AdamW)
    group = found.param_groups[0]
    assert (group["lr"], group["weight_decay"], tuple(group["betas"])) == (0.1, 0.3, (0.5, 0.9))
    assert (
        made({"name": "SGD", "params": {"lr": 0.7, "momentum": 0.9}}).param_groups[0]["lr"] == 0.7
    )


def test_the_cosine_falls_over_the_epochs_of_the_training():
    wanted = [0.05 * (1 + cos(pi * t / 8)) for t in range(8)]
    asked = {"name": "CosineLRScheduler", "params": {"cycle_decay": 0.025}}
    assert rates(asked, 8) == pytest.approx(wanted)


def test_the_params_of_the_cosine_count():
    params = {"t_initial": 4, "cycle_limit": 2, "cycle_decay": 0.5, "lr_min": 0.01}
    wanted = [
        0.01 + 0.5 * (0.09 if t < 4 else 0.04) * (1 + cos(pi * (t % 4) / 4)) for t in range(8)
    ]
    wanted += [0.01, 0.01]
    assert rates({"name": "CosineLRScheduler", "params": params}, 10) == pytest.approx(wanted)
    warm = {"warmup_t": 2, "warmup_lr_init": 0.02, "warmup_prefix": True, "t_initial": 4}
    wanted = [0.02, 0.06, *(0.05 * (1 + cos(pi * t / 4)) for t in range(4))]
    assert rates({"name": "CosineLRScheduler", "params": warm}, 6) == pytest.approx(wanted)
    longer = {"t_initial": 2, "cycle_mul": 2, "cycle_limit": 3}
    wanted = [0.05 * (1 + cos(pi * t / n)) for n in (2, 4) for t in range(n)]
    assert rates({"name": "CosineLRScheduler", "params": longer}, 6) == pytest.approx(wanted)


def test_the_cosine_is_timms():
    timm = pytest.importorskip("timm.scheduler.cosine_lr")
    for params in (
        {
            "t_initial": 5,
            "cycle_decay": 0.3,
            "cycle_limit": 3,
            "warmup_t": 2,
            "warmup_lr_init": 0.01,
        },
        {"t_initial": 3, "cycle_mul": 1.5, "cycle_limit": 4, "lr_min": 0.01, "k_decay": 0.7},
    ):
        ours = CosineLRScheduler(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1), **params)
        theirs = timm.CosineLRScheduler(
            torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1), **params
        )
        for epoch in range(14):
            assert ours._at(epoch, 0.1) == pytest.approx(theirs._get_lr(epoch)[0], abs=1e-12)


def test_schedules_of_torch_get_what_the_training_knows():
    assert rates("CosineAnnealingLR", 4) == pytest.approx(
        [0.05 * (1 + cos(pi * t / 4)) for t in range(4)]
    )
    step = {"name": "StepLR", "params": {"step_size": 2, "gamma": 0.1}}
    assert rates(step, 4) == pytest.approx([0.1, 0.1, 0.01, 0.01])
    found = made(scheduler="ReduceLROnPlateau")["lr_scheduler"]
    assert found["monitor"] == "val_loss"
    assert made(scheduler="OneCycleLR")["lr_scheduler"]["interval"] == "step"
    assert "ExponentialLR" in SCHEDULES


def test_mistakes_are_told():
    with pytest.raises(ConfigError, match="Did you mean 'AdamW'"):
        made({"name": "AdamWW"})
    with pytest.raises(ConfigError, match="unknown argument 'wd'"):
        made({"name": "Adam", "params": {"wd": 1}})
    with pytest.raises(ConfigError, match="Did you mean 'CosineLRScheduler'"):
        made(scheduler="CosineLRSchedule")
    with pytest.raises(ConfigError, match="missing argument 'step_size'"):
        made(scheduler="StepLR")
