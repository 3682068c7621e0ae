import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from delineate.labels import Class, Labels
from delineate.report.figures import PALETTE, Series, class_colours, line_chart


def line(x, y, **more):
    return Series(name="a & <b>", colour="#123456", x=np.array(x), y=np.array(y), **more)


def ticks(svg):
    return [t.text for t in ET.fromstring(svg).iter("text")]


def test_axes_have_round_figures_that_enclose_the_data():
    svg = line_chart([line([10, 1470], [0.52, 0.91])], title="t", x_label="step", top=1.0)
    found = ticks(svg)
    assert found[:6] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert found[6:] == ["0", "500", "1\u2009000", "1\u2009500", "step"]


def test_a_line_ends_where_its_figures_say():
    svg = line_chart([line([0, 100], [0.0, 1.0])], title="t", x_label="step", top=1.0)
    path = next(p for p in ET.fromstring(svg).iter("path") if "line" in p.get("class", ""))
    assert path.get("d") == "M44.0 230.0L500.0 12.0"


@pytest.mark.parametrize("y", [[0.5], [0.5, 0.5], [0.0, 0.0], [-3.0, -3.0]])
def test_one_point_or_a_constant_line_still_makes_a_chart(y):
    svg = line_chart([line(range(len(y)), y)], title="t", x_label="step")
    assert "nan" not in svg
    ET.fromstring(svg)


def test_thousands_of_steps_become_a_short_path_with_a_running_mean():
    x = np.arange(50_000)
    svg = line_chart([line(x, np.sin(x), smooth=True)], title="t", x_label="step")
    assert len(svg) < 20_000
    assert svg.count('class="line') == 2


def test_a_few_first_figures_far_above_the_rest_do_not_flatten_it():
    y = [500.0, *[1.0] * 299]
    assert ticks(line_chart([line(range(300), y)], title="t", x_label="step"))[5] == "1.0"


def test_names_of_lines_and_axes_are_escaped():
    svg = line_chart([line([1], [1])], title='"<t>"', x_label="<x>")
    assert not re.search("<[btx]>", svg)
    ET.fromstring(svg)


def test_declared_colours_win_and_the_rest_take_the_palette_in_turn():
    labels = Labels(classes=(Class(name="a", id=1, colour=(255, 0, 16)), Class(name="b", id=2)))
    assert class_colours(labels.names, labels) == {"a": "#ff0010", "b": PALETTE[1]}


def test_a_hundred_classes_have_a_hundred_colours():
    names = [f"region {i}" for i in range(117)]
    assert len(set(class_colours(names, None).values())) == 117
