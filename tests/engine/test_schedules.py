from itertools import pairwise
from math import cos, pi

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from delineate.engine.schedules import (
    Constant,
    Cosine,
    OneCycle,
    Plateau,
    Poly,
    Step,
    WarmRestarts,
    Watcher,
)

WARMED = [
    schedule(warmup=0.1) for schedule in (Cosine, Poly, Constant, WarmRestarts, Step, Plateau)
]


def rates_of_torch(scheduler, steps):
    """The rates that a scheduler of an optimiser at a rate of 1 goes through."""
    optimizer = SGD([torch.zeros((), requires_grad=True)], lr=1.0, momentum=0.9)
    made = scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return rates


@pytest.mark.parametrize("schedule", WARMED)
def test_the_rate_rises_from_zero_to_one_in_the_warm_up(schedule):
    assert schedule(0.0) == 0.0
    assert schedule(0.05) == pytest.approx(0.5)
    assert schedule(0.1) == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", [Cosine(), Poly()])
def test_the_rate_falls_to_zero_without_rising_again(schedule):
    rates = [schedule(0.02 + 0.98 * i / 100) for i in range(101)]
    assert all(a >= b for a, b in pairwise(rates))
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_half_way_down_the_cosine_is_a_half():
    assert Cosine(warmup=0.0)(0.5) == pytest.approx(0.5)


def test_poly_is_the_power_of_what_is_left():
    assert Poly(power=0.9)(0.5) == pytest.approx(0.5**0.9)
    assert Poly(power=2.0, end=0.2)(0.5) == pytest.approx(0.2 + 0.8 * 0.25)
    assert Poly(end=0.2)(1.0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("schedule", "area"),
    [
        (Constant(), 1.0),
        (Cosine(warmup=0.0), 0.5),
        (Cosine(warmup=0.2), 0.5),
        (Cosine(warmup=0.0, end=0.2), 0.6),
        (Poly(power=0.9), 1 / 1.9),
        (OneCycle(start=0.0, end=0.0), 0.5),
        (WarmRestarts(cycles=3, growth=2.0), 0.5),
        (Step(at=(0.5, 0.75), factor=0.1), 0.5 + 0.025 + 0.0025),
    ],
)
def test_the_mean_rate_is_the_area_under_the_curve(schedule, area):
    n = 4000
    assert sum(schedule((i + 0.5) / n) for i in range(n)) / n == pytest.approx(area, abs=1e-3)


def test_the_cosine_ends_where_it_is_told_to():
    assert Cosine(end=0.1)(1.0) == pytest.approx(0.1)


def test_one_cycle_takes_the_rates_of_torch():
    steps, first = 101, 0.3
    torchs = rates_of_torch(
        lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=steps, pct_start=first), steps
    )
    # PyTorch's last step of the rise is pct_start * steps - 1, its last step of all steps - 1.
    ours = OneCycle(peak=(first * steps - 1) / (steps - 1))
    assert [ours(i / (steps - 1)) for i in range(steps)] == pytest.approx(torchs, abs=1e-12)


@pytest.mark.parametrize(("growth", "cycles"), [(1, 4), (2, 3), (3, 2)])
def test_warm_restarts_take_the_rates_of_torch(growth, cycles):
    first = 10
    steps = first * sum(growth**i for i in range(cycles))
    torchs = rates_of_torch(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first, growth, eta_min=0.01), steps
    )
    ours = WarmRestarts(cycles=cycles, growth=growth, end=0.01)
    assert [ours(i / steps) for i in range(steps)] == pytest.approx(torchs, abs=1e-6)


def test_a_restart_after_a_warm_up_comes_at_its_step():
    schedule = WarmRestarts(cycles=2, growth=2.0, warmup=0.5)
    for steps in (6, 12, 18, 600):
        assert schedule(steps * 2 // 3 / steps) == pytest.approx(1.0)


def test_each_restart_is_as_high_as_the_decay_says_and_the_last_cycle_ends_low():
    schedule = WarmRestarts(cycles=2, decay=0.5)
    assert schedule(0.5) == pytest.approx(0.5)
    assert schedule(0.75) == pytest.approx(0.25)
    assert schedule(1.0) == pytest.approx(0.0)


def test_steps_are_those_of_torchs_milestones():
    torchs = rates_of_torch(lambda o: lr_scheduler.MultiStepLR(o, [5, 8], gamma=0.1), 10)
    ours = Step(at=(0.5, 0.8), factor=0.1)
    assert [ours(i / 10) for i in range(10)] == pytest.approx(torchs)


def test_a_plateau_lowers_the_rate_when_torch_does():
    figures = [0.1, 0.3, 0.2, 0.3, 0.3, 0.2, 0.1, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    ours = Plateau(factor=0.5, patience=3, end=0.2)
    optimizer = SGD([torch.zeros((), requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=2, threshold=0.0, min_lr=0.2
    )
    for figure in figures:
        ours.observe({"val_dice": figure})
        theirs.step(figure)
        assert ours(0.5) == optimizer.param_groups[0]["lr"]
    assert ours(0.5) == 0.2


def test_a_plateau_goes_on_from_its_state():
    whole, resumed = Plateau(patience=2), Plateau(patience=2)
    for figure in (0.5, 0.4):
        whole.observe({"val_dice": figure})
    resumed.load_state_dict(whole.state_dict())
    for schedule in (whole, resumed):
        schedule.observe({"val_dice": 0.4})
    assert whole(1.0) == resumed(1.0) == 0.5


def test_a_figure_that_is_no_number_is_no_improvement():
    schedule = Plateau(patience=1)
    schedule.observe({"val_dice": float("nan")})
    assert schedule(0.5) == 0.5


def test_only_the_plateau_listens_to_the_validation():
    assert isinstance(Plateau(), Watcher)
    assert not isinstance(Cosine(), Watcher)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneCycle(peak=1.0), "peak: a share of the training between 0 and 1, got 1.0"),
        (lambda: WarmRestarts(cycles=0), "at least one; got cycles 0, growth 1.0"),
        (lambda: Plateau(factor=2.0), "factor: lowers the rate, so between 0 and 1, got 2.0"),
        (lambda: Plateau(patience=0), "patience: at least one validation has to be waited for"),
    ],
)
def test_an_impossible_schedule_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_cosine_after_its_warm_up_is_the_closed_form():
    rest = (0.4 - 0.02) / 0.98
    assert Cosine()(0.4) == pytest.approx(0.5 * (1 + cos(pi * rest)))
