import json
import re
from html import unescape

import pytest

from delineate.metrics import Table, compare, read_table, write_table
from delineate.report import write_comparison


@pytest.fixture
def page(finished, rival, tmp_path):
    return lambda: write_comparison([finished, rival], tmp_path / "both.html").read_text("utf-8")


def text_of(html):
    return unescape(re.sub(r"<[^>]+>", " ", html))


def test_the_headline_is_the_difference_of_the_leading_run(page, finished, rival):
    html = page()
    found = compare(read_table(rival), read_table(finished))
    head = re.search(r"<h1><b>([+-][\d.]+)</b> <span>(.*?)</span>", html)
    assert float(head[1]) == pytest.approx(found.mean, abs=1e-4)
    assert "no clear winner: rival &amp; co leads my &lt;run&gt; in mean Dice" in head[2]
    assert f"better in {found.better} of 3 cases" in head[2]


def test_every_metric_has_a_standing_with_pairs_a_scatter_and_bars(page):
    html = page()
    panels = re.findall(r'data-panel="(\w+)"', html)
    assert panels[0] == "dice"
    assert "volume_ml" not in panels  # how much there is has no better
    assert html.count("One against the other") == len(panels)
    assert html.count('class="bar"') == 3 * len(panels)


def test_the_table_of_cases_has_a_column_per_run_and_their_difference(page, finished, rival):
    html = page()
    figures = json.loads(re.search(r'id="case-figures">(.*?)</script>', html)[1])["dice"]
    ours, theirs = (read_table(run).case_means("dice") for run in (finished, rival))
    for row, case in zip(figures["rows"], ours, strict=True):
        assert row == pytest.approx([ours[case], theirs[case], theirs[case] - ours[case]], abs=1e-5)


def test_the_cases_of_the_greatest_gain_and_loss_are_drawn_for_every_run(page):
    html = page()
    assert re.findall(r"<em>([\w ]+)</em> (\w+)", html)[0] == ("greatest gain", "case_3")
    assert html.count('class="plane"') == 6
    runs = json.loads(re.search(r'id="slices-data">(.*?)</script>', html)[1])["runs"]
    assert runs == ["my <run>", "rival & co"]


def test_what_differs_is_listed_and_what_does_not_is_not(page, rival):
    (rival / "config.yaml").write_text("data: {root: '<b>here</b>'}\ntrain: {seed: 7}\n")
    html = page()
    table = re.search(r'class="differences">(.*?)</table>', html)[1]
    assert re.findall(r'<th scope="row">(.*?)</th>', table) == ["config train.seed"]


def test_runs_that_differ_in_nothing_say_so(page):
    assert "Nothing that these runs have written down." in page()


def test_a_run_without_scores_yet_still_has_its_curves_beside_the_other(page, rival):
    (rival / "validation" / "table.csv").unlink()
    html = page()
    assert "Fewer than two of these runs have scores" in html
    assert html.count('class="chart"') == 3
    assert "Who wins" not in html


def test_cases_and_classes_of_one_run_alone_are_left_out_and_named(page, rival):
    table = read_table(rival)
    rows = [row for row in table.rows if row.case != "case_1" and row.label != "rim & shell"]
    write_table(Table(tuple(rows)), rival / "validation" / "table.csv")
    text = text_of(page())
    assert "Only my <run> has the classes rim & shell: left out." in text
    assert "my <run> has 1 more case: left out." in text


def test_runs_without_a_shared_case_are_not_compared(page, rival):
    table = (rival / "validation" / "table.csv").read_text()
    (rival / "validation" / "table.csv").write_text(table.replace("case_", "other_"))
    assert "share no held-out case" in page()


def test_three_runs_have_three_pairs(finished, rival, tmp_path):
    third = rival.with_name("third")
    third.mkdir()
    for part in ("plan.json", "config.yaml", "cases.json", "metrics.csv"):
        (third / part).write_bytes((rival / part).read_bytes())
    (third / "validation").mkdir()
    write_table(read_table(finished), third / "validation" / "table.csv")
    html = write_comparison([finished, rival, third], tmp_path / "all.html").read_text("utf-8")
    first = re.search(r'data-panel="dice">(.*?)data-panel=', html)[1]
    assert len(re.findall(r'<td class="place">', first)) == 3
    pairs = re.search(r'class="scroll pairs">(.*?)</table>', first)[1]
    assert pairs.count(" less ") == 3
