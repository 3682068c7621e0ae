import re
import xml.etree.ElementTree as ET

from delineate.report.strips import Strip, strip_chart

NOTHING = (float("nan"), float("nan"))


def strip(name, cases, interval=NOTHING):
    return Strip(name=name, colour="#000", cases=cases, interval=interval)


def titles(svg):
    return [t.text for t in ET.fromstring(svg).iter("title")]


def ticks(svg):
    return [float(t.text) for t in ET.fromstring(svg).iter("text") if "below" in t.get("class")]


def test_a_strip_has_a_dot_per_known_case_and_tells_its_name():
    strips = [strip("liver", {"one": 0.9, "two": 0.8, "three": float("nan")}), strip("gone", {})]
    svg = strip_chart(strips, title="t", x_label="Dice", share=True)
    assert titles(svg) == ["one: 0.9", "two: 0.8"]


def test_a_share_ends_at_one_and_a_distance_starts_at_nought():
    cases = {"one": 0.7, "two": 0.95}
    assert ticks(strip_chart([strip("a", cases)], title="t", x_label="x", share=True))[-1] == 1.0
    distances = {"one": 3.0, "two": 41.0}
    found = ticks(strip_chart([strip("a", distances)], title="t", x_label="x", share=False))
    assert (found[0], found[-1]) == (0.0, 50.0)


def test_a_difference_with_a_sign_has_its_nought_inside():
    found = ticks(strip_chart([strip("a", {"x": -4.0, "y": 6.0})], title="t", x_label="x",
                              share=False))  # fmt: skip
    assert found[0] <= -4 < 0 < 6 <= found[-1]


def test_of_very_many_cases_the_lowest_and_the_highest_are_kept():
    cases = {f"case_{i}": i / 1000 for i in range(1000)}
    found = titles(strip_chart([strip("a", cases)], title="t", x_label="x", share=True, most=50))
    assert len(found) == 50
    assert {"case_0: 0", "case_999: 0.999"} <= set(found)


def test_the_band_covers_the_middle_half():
    cases = {str(i): v for i, v in enumerate((0.0, 0.2, 0.4, 0.6, 0.8, 1.0))}
    svg = strip_chart([strip("a", cases)], title="t", x_label="x", share=True)
    box = next(r for r in ET.fromstring(svg).iter("rect"))
    dots = [float(c.get("cx")) for c in ET.fromstring(svg).iter("circle")]
    inside = [d for d in dots if 0 <= d - float(box.get("x")) <= float(box.get("width"))]
    assert len(inside) == 2


def test_names_are_escaped_and_long_ones_shortened():
    svg = strip_chart(
        [strip("<n>" + "x" * 80, {"<c>": 0.5}, (0.4, 0.6))], title="<t>", x_label="<x>", share=True
    )
    assert not re.search("<[ntxc]>", svg)
    assert "x..." in svg
    ET.fromstring(svg)
