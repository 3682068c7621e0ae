import json
import math
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import pytest
from PIL import Image

from delineate.errors import DataError
from delineate.metrics import Row, Table, read_table, write_table
from delineate.report import hash_cases, write_report
from delineate.report.hashes import combined_hash


class Outline(HTMLParser):
    """Text of headings, all attributes, and whether every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "input", "img"}:
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
    assert not re.search(r"url\(|@import|https?://", html.replace("http://www.w3.org/2000/svg", ""))
    assert "default-src 'none'; img-src data:;" in html
    assert len(html) < 500_000
    assert re.search(r"One file of 0\.[1-4] MB that needs no network", html)
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


def test_every_metric_has_a_chart_and_a_button_and_only_the_first_is_shown(finished):
    html, _ = read(finished)
    charts = re.findall(r'data-panel="(\w+)"( hidden)?>', html)
    assert [name for name, _ in charts][:2] == ["dice", "iou"]
    assert [bool(hidden) for _, hidden in charts] == [False] + [True] * (len(charts) - 1)
    buttons = re.findall(r'data-metric="(\w+)" aria-pressed="(\w+)"', html)
    assert [name for name, _ in buttons] == [name for name, _ in charts]
    assert [pressed for _, pressed in buttons] == ["true"] + ["false"] * (len(charts) - 1)


def test_the_table_holds_dice_and_the_page_the_figures_of_all_metrics(finished):
    html, _ = read(finished)
    table = read_table(finished)
    figures = json.loads(re.search(r'id="case-figures">(.*?)</script>', html)[1])
    assert list(figures) == list(table.metrics)
    for metric, data in figures.items():
        for row, case, values in zip(data["rows"], table.cases, table.values(metric), strict=True):
            assert row[0] == pytest.approx(table.case_means(metric)[case], rel=1e-5)
            assert row[1:] == pytest.approx(values.tolist(), rel=1e-5)
        assert data["foot"][0] == pytest.approx(table.mean(metric), rel=1e-5)
    first = re.search(r'<tr><th scope="row">case_3</th><td class="figure" data-v="([\d.]+)">', html)
    assert float(first[1]) == pytest.approx(table.case_means("dice")["case_3"])


def test_all_metrics_stand_in_one_table_with_their_intervals(finished):
    html, outline = read(finished)
    rows = re.findall(r'<tr><th scope="row">([\w ()]+)<span', html)
    assert rows[:3] == ["Dice", "IoU", "Sensitivity"]
    assert "higher is better" in "".join(outline.text)


def test_an_unfinished_run_shows_what_there_is_and_names_the_rest(finished):
    (finished / "validation" / "table.csv").unlink()
    with (finished / "metrics.csv").open("a") as file:
        file.write("600,0.9,30")  # a row that is being written
    html, _ = read(finished)
    assert "Dice at the latest validation during training" in html
    assert "Not there yet:</p><ul><li>the scores of the held-out cases" in html
    assert html.count('class="chart"') == 2
    # The cases that are predicted already are shown.
    assert re.findall(r"<em>(\w+)</em> (\w+)", html) == [
        ("first", "case_1"), ("middle", "case_2"), ("last", "case_3"),
    ]  # fmt: skip


def test_a_running_training_shows_its_newest_panel(finished):
    (finished / "validation" / "table.csv").unlink()
    for file in (finished / "validation").glob("*.nii.gz"):
        file.unlink()
    (finished / "panels").mkdir()
    for step in (100, 20):
        Image.new("RGB", (60, 20), (step, 0, 0)).save(finished / "panels" / f"step_{step:08d}.png")
    html, outline = read(finished)
    assert "(step_00000100.png)" in "".join(outline.text)
    assert '<img class="panel" src="data:image/' in html


def test_held_out_cases_without_truth_are_shown_with_their_predictions(finished):
    cases = json.loads((finished / "cases.json").read_text())
    for case in cases["validation"]:
        case["label"] = None
    (finished / "cases.json").write_text(json.dumps(cases))
    (finished / "validation" / "table.csv").write_text("case,class,dice\n")
    html, _ = read(finished)
    assert html.count('<g class="prediction">') == 9
    assert '<g class="truth">' not in html
    assert '<g class="errors">' not in html


@pytest.mark.parametrize(
    "name", ["config.yaml", "plan.json", "cases.json", "metrics.csv", "environment.json"]
)
def test_any_file_of_a_run_may_be_missing(finished, name):
    (finished / name).unlink()
    html, _ = read(finished)
    assert html.count(f"({name})</li>") == 1


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
    assert "The 12 worst of 21 classes are shown." in text
    assert "case_10.8050region 190.7100" in text
    assert "hd95_mm" in text  # the other figures are exchanged by the script
    assert '[8.05,"region 0",9.0]' in text


def test_a_case_with_markup_in_its_name_ends_no_element(finished):
    evil = "</script><script>alert(1)</script>"
    table = (finished / "validation" / "table.csv").read_text()
    (finished / "validation" / "table.csv").write_text(table.replace("case_3", evil))
    html, outline = read(finished)
    assert "<script>alert" not in html
    assert evil in "".join(outline.text)


def test_the_hashes_of_the_data_are_on_the_page(finished):
    cases = json.loads((finished / "cases.json").read_text())["validation"]
    hashes = hash_cases([SimpleNamespace(**case) for case in cases], finished / "memo.json")
    (finished / "hashes.json").write_text(json.dumps(hashes))
    html, outline = read(finished)
    assert combined_hash(hashes) in html
    assert hashes["case_1"]["label"][:16] in "".join(outline.text)


def test_a_cross_validation_has_a_page_of_its_pooled_cases(finished, tmp_path):
    folder = tmp_path / "crossed"
    for fold in range(2):
        shutil.copytree(finished, folder / f"fold_{fold}")
    write_table(read_table(finished), folder / "table.csv")
    html, outline = read(folder)
    assert "on 3 held-out cases" in html
    assert html.count('class="plane"') == 9
    assert {"fold_0", "fold_1"} <= set(outline.text)
    assert "Not there yet" not in html


def test_the_page_can_lie_elsewhere(finished, tmp_path):
    page = tmp_path / "pages" / "one.html"
    assert write_report(finished, page) == page
    assert page.is_file()
    assert not (finished / "report.html").exists()
    with pytest.raises(DataError, match=r"this is a folder\. Fix: name a file"):
        write_report(finished, tmp_path)


def test_headings_descend_by_one_and_every_picture_says_what_it_shows(finished):
    html, _ = read(finished)
    levels = [int(level) for level in re.findall(r"<h(\d)", html)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for tag in re.findall(r"<svg[^>]*>|<img[^>]*>", html):
        assert re.search(r'aria-label="[^"]+"|alt="[^"]+"|aria-hidden="true"', tag), tag
    for tag in re.findall(r"<input[^>]*>", html):
        assert re.search(r'aria-label|id="filter"|data-layer', tag), tag
