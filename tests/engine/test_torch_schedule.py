import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR

from delineate.engine.schedules import Cosine
from delineate.engine.torch_schedule import as_schedule, rate_holder
from delineate.errors import ConfigError


def test_a_scheduler_of_torch_is_stepped_once_an_optimiser_step():
    schedule = as_schedule(StepLR(rate_holder(0.2), step_size=3, gamma=0.5), steps=8)
    assert [schedule(i / 8) for i in range(9)] == pytest.approx(
        [1, 1, 1, 0.5, 0.5, 0.5] + [0.25] * 3
    )


def test_it_depends_on_progress_alone():
    ahead, along = (as_schedule(CosineAnnealingLR(rate_holder(0.1), 20), steps=20) for _ in "ab")
    late = ahead(0.75)
    assert [along(i / 20) for i in range(16)][-1] == late == ahead(0.75)
    assert ahead(0.25) == along(0.25)


def test_its_absolute_rates_are_kept():
    schedule = as_schedule(OneCycleLR(rate_holder(0.1), max_lr=0.5, total_steps=10), steps=10)
    assert max(schedule(i / 10) for i in range(11)) == pytest.approx(5.0)


def test_our_own_schedules_pass_through():
    schedule = Cosine()
    assert as_schedule(schedule, steps=None) is schedule


def test_a_scheduler_of_torch_needs_a_number_of_steps():
    with pytest.raises(ConfigError, match=r"StepLR counts optimiser steps, .* Fix: .* Cosine"):
        as_schedule(StepLR(rate_holder(0.1), 3), steps=None)


def test_torchs_plateau_is_refused_for_ours():
    with pytest.raises(ConfigError, match="Fix: name: Plateau"):
        as_schedule(ReduceLROnPlateau(rate_holder(0.1)), steps=10)


def test_what_cannot_be_called_is_no_schedule():
    with pytest.raises(ConfigError, match="a float is no schedule"):
        as_schedule(0.5, steps=10)
