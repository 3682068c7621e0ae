import math
import re
from html.parser import HTMLParser

import pytest

from delineate.errors import DataError
from delineate.metrics import Row, Table, write_table
from delineate.report import write_report


class Outline(HTMLParser):
    """Text of headings, all attributes, and whether every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "input"}:
            self.open.append(tag)
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(run):
    html = write_report(run).read_text(encoding="utf-8")
    outline = Outline(html)
    assert outline.open == []
    return html, outline


def test_the_page_lies_in_the_run_folder_and_needs_nothing_else(finished):
    html, outline = read(finished)
    assert (finished / "report.html").is_file()
    assert all(link.startswith("data:image/") for link in outline.links)
    assert not re.search(r"url\(|@import|https?://", html)
    assert len(html) < 500_000
    assert not list(finished.glob(".*"))


def test_the_headline_is_the_mean_dice_with_its_interval(finished):
    html, _ = read(finished)
    assert re.search(
        r"<b>0\.\d{3}</b> <span>mean Dice on 3 held-out cases, 95 % interval 0\.\d{3} to 1\.000",
        html,
    )


def test_best_median_and_worst_case_are_drawn_in_three_planes_each(finished):
    html, _ = read(finished)
    assert re.findall(r"<em>(\w+)</em> (\w+)", html) == [
        ("best", "case_1"),
        ("median", "case_2"),
        ("worst", "case_3"),
    ]
    assert html.count('class="plane"') == 9


def test_names_from_outside_are_escaped_everywhere(finished):
    html, outline = read(finished)
    assert not re.search("<core>|<run>|<b>here", html)
    text = "".join(outline.text)
    assert "my <run>" in text
    assert "data: {root: '<b>here</b>'}" in text
    assert "fills < 1 GB" in text


def test_facts_reasons_and_versions_are_on_the_page(finished):
    text = "".join(read(finished)[1].text)
    for part in ("1 case", "3 cases", "T1", "CPU (AVX2)", "the median spacing", "torch 2.13.0"):
        assert part in text


def test_every_metric_has_a_table_and_only_the_first_is_shown(finished):
    html, _ = read(finished)
    tables = re.findall(r'<table class="cases" data-metric="(\w+)"( hidden)?>', html)
    assert [name for name, _ in tables][:2] == ["dice", "iou"]
    assert [bool(hidden) for _, hidden in tables] == [False] + [True] * (len(tables) - 1)


def test_an_unfinished_run_shows_what_there_is_and_names_the_rest(finished):
    (finished / "validation" / "table.csv").unlink()
    with (finished / "metrics.csv").open("a") as file:
        file.write("600,0.9,30")  # a row that is being written
    html, _ = read(finished)
    assert "Dice at the latest validation during training" in html
    assert "Not there yet:</p><ul><li>the scores of the held-out cases" in html
    assert html.count('class="chart"') == 2


@pytest.mark.parametrize(
    "name", ["config.yaml", "plan.json", "cases.json", "metrics.csv", "environment.json"]
)
def test_any_file_of_a_run_may_be_missing(finished, name):
    (finished / name).unlink()
    html, _ = read(finished)
    assert html.count(f"({name})") == 1


def test_a_scan_that_moved_away_is_said_in_place_of_its_picture(finished):
    (finished.parents[1] / "data" / "case_3_0000.nii.gz").unlink()
    html, _ = read(finished)
    assert html.count('class="plane"') == 6
    assert re.search(r'<em>worst</em>.*?<p class="note">.*?case_3_0000\.nii\.gz', html)


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {}\n")
    html, _ = read(tmp_path)
    assert "A training without scores so far" in html


@pytest.mark.parametrize(
    ("name", "message"), [("gone", "gone: no such folder"), ("", "nothing of a training here")]
)
def test_what_is_no_run_is_refused(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        write_report(tmp_path / name)


def test_a_broken_json_file_is_named_with_its_line(finished):
    (finished / "cases.json").write_text('{"training": [],\n "validation": [}')
    with pytest.raises(DataError, match=r"cases\.json:2: not JSON"):
        write_report(finished)


def test_many_classes_are_summed_up_by_the_worst_of_each_case(finished):
    dice = {f"region {i}": 0.9 - i / 100 for i in range(20)}
    rows = [
        Row(case=case, label=name, values={"dice": value, "hd95_mm": 10 * value})
        for case in ("case_1", "case_2")
        for name, value in dice.items()
    ]
    rows.append(Row(case="case_2", label="nowhere", values={"dice": math.nan}))
    write_table(Table(tuple(rows)), finished / "validation" / "table.csv")
    text = "".join(read(finished)[1].text)
    assert "The 12 lowest of 21 classes are shown." in text
    assert "case_10.8050region 190.7100" in text
    assert "case_18.0500region 09.0000" in text
