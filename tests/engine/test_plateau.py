import logging
from itertools import pairwise

import pytest

from delineate.engine.clock import Clock
from delineate.engine.plateau import TAIL, AdaptiveLength, Tail
from delineate.engine.schedules import Cosine, Watcher


def step_clock(steps=1000, step=0):
    clock = Clock(steps=steps)
    clock.step = step
    clock.start()
    return clock


def train(length, clock, scores):
    """A validation every 100 steps; how often the clock struck, and the rates."""
    schedule, rates = Cosine(warmup=0.0), []
    figures = iter(scores)
    while not clock.done:
        rates.append(schedule(clock.progress))
        clock.step += 1
        clock.start(elapsed=clock.step)  # a second a step
        if clock.step % 100 == 0 and not clock.done:
            length.observe({"val_dice": next(figures)})
    return rates


RISING = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
FLAT = [0.1, 0.5, 0.5, 0.4] + 6 * [0.3]


def test_a_rising_dice_uses_the_whole_budget():
    clock = step_clock()
    rates = train(AdaptiveLength(clock, patience=2, on_plateau="tail"), clock, RISING)
    assert clock.step == 1000
    assert rates[500] == pytest.approx(0.5)


def test_a_plateau_lets_the_rate_fall_to_its_end_in_a_quarter_of_the_steps_so_far(caplog):
    clock = step_clock()
    with caplog.at_level(logging.INFO, logger="delineate"):
        rates = train(AdaptiveLength(clock, patience=2, on_plateau="tail"), clock, FLAT)
    assert clock.step == 400 * (1 + TAIL) == 500
    assert rates[:400] == [Cosine(warmup=0.0)(i / 1000) for i in range(400)]
    falls = [a - b for a, b in pairwise(rates[400:])]
    assert min(falls) > 0
    assert max(falls) < 0.02
    assert rates[400] == pytest.approx(Cosine(warmup=0.0)(0.4))
    assert rates[-1] < 1e-3
    assert caplog.messages == [
        "step 400: no better Dice than 0.5000 in 2 validations: the rate falls to its end over "
        "100 steps; 50% of the budget are saved (about 8.3 minutes)"
    ]


def test_stop_ends_at_once(caplog):
    clock = step_clock()
    with caplog.at_level(logging.INFO, logger="delineate"):
        train(AdaptiveLength(clock, patience=2, on_plateau="stop"), clock, FLAT)
    assert clock.step == 400
    assert "training ends; 60% of the budget are saved (about 10.0 minutes)" in caplog.text


def test_a_plateau_near_the_end_changes_nothing(caplog):
    clock = step_clock(steps=450)
    with caplog.at_level(logging.INFO, logger="delineate"):
        train(AdaptiveLength(clock, patience=2, on_plateau="tail"), clock, FLAT)
    assert clock.step == 450
    assert clock.bend is None
    assert "training ends soon as it is" in caplog.text


def test_a_network_that_has_found_nothing_yet_is_not_on_a_plateau():
    clock = step_clock()
    train(AdaptiveLength(clock, patience=2, on_plateau="stop"), clock, 9 * [0.0])
    assert clock.step == 1000


@pytest.mark.parametrize("broken_at", [200, 300, 400, 450])
def test_a_resumed_training_has_the_rates_of_the_unbroken_one(broken_at):
    whole_clock = step_clock()
    whole = train(AdaptiveLength(whole_clock, patience=2, on_plateau="tail"), whole_clock, FLAT)
    clock = step_clock()
    length = AdaptiveLength(clock, patience=2, on_plateau="tail")
    for score in FLAT[: broken_at // 100]:
        clock.step += 100
        length.observe({"val_dice": score})
    resumed_clock = step_clock(step=broken_at)
    resumed = AdaptiveLength(resumed_clock, patience=2, on_plateau="tail")
    resumed.load_state_dict(length.state_dict())
    rest = train(resumed, resumed_clock, FLAT[broken_at // 100 :])
    assert rest == whole[broken_at:]


def test_the_tail_is_continuous_and_ends_at_one():
    tail = Tail(0.4, 0.5)
    assert [tail(u) for u in (0.2, 0.4, 0.45, 0.5, 0.9)] == pytest.approx([0.2, 0.4, 0.7, 1, 1])


def test_it_watches_the_validation():
    assert isinstance(AdaptiveLength(step_clock(), patience=1, on_plateau="tail"), Watcher)
