"""Weights that move."""

import pytest

from delineate.losses import Ramp


def test_it_stands_moves_in_a_straight_line_and_stands_again():
    ramp = Ramp(start=0.01, end=1.01, begin=0.2, finish=0.6)
    found = [ramp(p) for p in (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.01, 0.01, 0.26, 0.51, 1.01, 1.01])


def test_it_may_fall_and_may_jump():
    assert Ramp(start=1.0, end=0.0)(0.75) == pytest.approx(0.25)
    jump = Ramp(start=0.0, end=2.0, begin=0.5, finish=0.5)
    assert [jump(p) for p in (0.0, 0.49, 0.5, 1.0)] == [0.0, 0.0, 2.0, 2.0]


def test_a_ramp_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError) as error:
        Ramp(start=0.0, end=1.0, begin=0.6, finish=0.5)
    assert str(error.value) == (
        "Ramp: begin is 0.6 and finish 0.5. Fix: 0 <= begin <= finish <= 1."
    )
