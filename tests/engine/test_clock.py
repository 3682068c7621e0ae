import pytest

from delineate.engine import clock as clock_module
from delineate.engine.clock import Clock


def test_progress_in_steps_is_their_share():
    clock = Clock(steps=8)
    clock.step = 2
    assert clock.progress == 0.25
    assert not clock.done
    clock.step = 8
    assert clock.done


def test_progress_in_seconds_keeps_the_reserve_back(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: now[0])
    clock = Clock(seconds=60)
    clock.start()
    now[0] += 30
    assert clock.progress == 0.5
    clock.reserve = 10
    assert clock.progress == pytest.approx(0.6)
    now[0] += 20
    assert clock.done


@pytest.mark.parametrize("budget", [{}, {"steps": 1, "seconds": 1.0}])
def test_a_clock_needs_exactly_one_budget(budget):
    with pytest.raises(ValueError, match="only one of them"):
        Clock(**budget)


def test_a_clock_goes_on_with_the_time_that_was_used(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: now[0])
    clock, later = Clock(seconds=60), Clock(seconds=60)
    clock.start()
    clock.step, clock.reserve = 7, 5.0
    now[0] += 30
    state = clock.state_dict()
    now[0] = 0.0  # another machine, another beginning
    later.load_state_dict(state)
    now[0] += 2
    assert (later.step, later.reserve, later.elapsed) == (7, 5.0, 32.0)


def test_a_bent_clock_is_done_where_the_bend_says():
    clock = Clock(steps=10, step=4, bend=lambda used: min(1.0, 2 * used))
    assert (clock.used, clock.progress) == (0.4, 0.8)
    clock.step = 5
    assert clock.done


def test_a_clock_that_ended_is_done_before_its_budget():
    clock = Clock(steps=10, step=4, ended=True)
    other = Clock(steps=10)
    other.load_state_dict(clock.state_dict())
    assert clock.done
    assert other.done
