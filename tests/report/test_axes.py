from itertools import pairwise

import pytest

from delineate.report.axes import Scale, tick_text, ticks


@pytest.mark.parametrize(("low", "high"), [(0.82, 0.913), (0, 1470), (-3.2, 8.1), (5, 5), (0, 0)])
def test_ticks_enclose_the_figures_in_equal_steps(low, high):
    places = ticks(low, high)
    assert places[0] <= low + 1e-9
    assert places[-1] >= high - 1e-9
    assert {round(b - a, 9) for a, b in pairwise(places)} == {round(places[1] - places[0], 9)}
    assert 2 <= len(places) <= 8


def test_a_tick_has_the_decimals_of_its_step():
    assert [tick_text(v, [0.0, 0.25]) for v in (0.0, 0.25)] == ["0.00", "0.25"]
    assert tick_text(1500.0, [0.0, 500.0]) == "1\u2009500"


def test_a_scale_meets_both_ends():
    scale = Scale(2.0, 4.0, 100.0, 0.0)
    assert [scale(v) for v in (2.0, 3.0, 4.0)] == [100.0, 50.0, 0.0]
