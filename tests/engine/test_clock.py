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
