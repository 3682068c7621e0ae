import xml.etree.ElementTree as ET

from delineate.report.paired import difference_chart, scatter_chart

PAIRS = {"<one>": (0.8, 0.9), "two": (0.7, 0.6), "three": (0.5, 0.5)}


def test_equal_figures_lie_on_the_diagonal():
    svg = ET.fromstring(scatter_chart(PAIRS, ("A", "B"), "#111", metric="Dice"))
    line = next(p for p in svg.iter("path") if p.get("class") == "equal").get("d")
    (x0, y0), (x1, y1) = ([float(v) for v in end.split()] for end in line[1:].split("L"))
    dots = {c[0].text: (float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")}
    x, y = dots["three: 0.5 and 0.5"]
    assert abs((y - y0) - (x - x0) * (y1 - y0) / (x1 - x0)) < 0.2
    x, y = dots["<one>: 0.8 and 0.9"]
    # Above the diagonal, where the second is higher; y runs down.
    assert y < y0 + (x - x0) * (y1 - y0) / (x1 - x0)


def test_bars_stand_in_order_and_have_the_colour_of_the_higher():
    svg = ET.fromstring(difference_chart(PAIRS, ("A", "B"), ("#aaa", "#bbb"), metric="Dice"))
    bars = list(svg.iter("rect"))
    assert [b[0].text for b in bars] == ["two: -0.1", "three: +0", "<one>: +0.1"]
    assert [b.get("fill") for b in bars] == ["#aaa", "#aaa", "#bbb"]
    places = [float(b.get("x")) for b in bars]
    assert places == sorted(places)


def test_a_thousand_cases_are_drawn_in_part_with_both_extremes():
    pairs = {f"c{i}": (0.0, i / 1000) for i in range(1000)}
    svg = ET.fromstring(difference_chart(pairs, ("A", "B"), ("#a", "#b"), metric="Dice"))
    texts = [r[0].text for r in svg.iter("rect")]
    assert len(texts) == 150
    assert (texts[0], texts[-1]) == ("c0: +0", "c999: +0.999")


def test_cases_without_any_difference_still_make_a_chart():
    svg = difference_chart({"a": (0.5, 0.5)}, ("A", "B"), ("#a", "#b"), metric="Dice")
    assert "nan" not in svg
    ET.fromstring(svg)
