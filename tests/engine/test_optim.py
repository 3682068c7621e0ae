from itertools import pairwise

import pytest
from torch import nn

from delineate.engine.optim import Constant, Cosine, Poly, parameter_groups


@pytest.mark.parametrize("schedule", [Cosine(warmup=0.1), Poly(warmup=0.1), Constant(warmup=0.1)])
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


def test_kernels_decay_and_vectors_do_not():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    kernels, vectors = parameter_groups(network, 0.1)
    assert [p.ndim for p in kernels["params"]] == [4]
    assert [p.ndim for p in vectors["params"]] == [1, 1, 1]
    assert (kernels["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)


def test_frozen_weights_are_left_out():
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    (vectors,) = parameter_groups(network, 0.1)
    assert vectors["params"] == [network.bias]
