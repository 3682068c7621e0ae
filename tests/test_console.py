"""What is printed fits a terminal, and goes whole into a pipe."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from delineate import console
from delineate.console import lines as printed
from delineate.console import progress
from delineate.datasets import Examination
from delineate.datasets.findings import Facts, finding
from delineate.labels import Labels
from delineate.metrics import Presence, Row, Table
from delineate.plan import Network, Normalisation, Plan

LONG = "sub-r001s001_ses-1_space-MNI152NLin2009aSym_desc-defaced_T1w"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    out = StringIO()
    monkeypatch.setattr(printed, "console", Console(file=out, markup=False, emoji=False))
    return out


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    out = StringIO()
    plain = Console(
        file=out, force_terminal=True, width=80, color_system=None, markup=False, emoji=False
    )
    monkeypatch.setattr(printed, "console", plain)
    return out


def facts(case: str, size: int = 30) -> Facts:
    return Facts(
        case=case,
        shape=(size, 40, 50),
        spacing=(1.0, 1.0, 1.0),
        orientation="LPS",
        dtype="int16",
        labels={1: 10, 2: 20},
        volume_ml=0.03,
    )


def examination(*cases: Facts, findings: tuple = ()) -> Examination:
    return Examination(root="scans", layout="nnunet", cases=cases, findings=findings)


def test_a_terminal_gets_one_line_a_case_cut_to_its_width(terminal: StringIO):
    odd = finding("rare-value", LONG, "value 7 is in this case only.")
    console.show_examination(examination(facts(LONG), facts("b"), findings=(odd,)))
    head, first, second, *_ = terminal.getvalue().splitlines()
    assert head.split() == ["case", "shape", "mm", "axes", "type", "labels", "ml", "findings"]
    assert len(first) <= 80
    assert first.startswith("sub-r001s001")
    assert "... " in first
    assert second.split() == ["b", "30x40x50", "1x1x1", "LPS", "int16", "2", "0.0300"]


def test_a_pipe_gets_whole_lines_and_brackets_as_they_are(pipe: StringIO):
    message = f"[bold]{LONG}[/] " * 4
    found = examination(facts(LONG), findings=(finding("unreadable", LONG, message),))
    console.show_examination(found)
    lines = pipe.getvalue().splitlines()
    assert f"error: {LONG}: {message} Fix: {found.findings[0].fix}" in lines
    assert any(line.startswith(f"{LONG}  30x40x50") for line in lines)
    assert lines[-1] == "1 case, 1 error, 0 warnings."


def test_of_many_cases_only_those_with_findings_have_a_line(pipe: StringIO):
    cases = tuple(facts(f"case_{i}", size=30 + i) for i in range(21))
    console.show_examination(examination(*cases))
    assert pipe.getvalue() == (
        "21 cases: shapes 30..50 x 40 x 50, spacing 1 mm, 2 labels.\n"
        "21 cases, 0 errors, 0 warnings. Every row: --json FILE\n"
    )
    pipe.truncate(0)
    odd = finding("odd-size", "case_7", "far from the median.")
    console.show_examination(examination(*cases, findings=(odd,)))
    assert "case_7" in pipe.getvalue()
    assert "case_8" not in pipe.getvalue()


def test_unreadable_cases_have_no_part_in_the_overview(pipe: StringIO):
    cases = tuple(Facts(case=f"case_{i}") for i in range(21))
    console.show_examination(examination(*cases))
    assert pipe.getvalue().startswith("21 cases: 0 labels.\n")


def test_of_many_findings_of_one_kind_the_first_few_are_shown(pipe: StringIO):
    alike = tuple(finding("unlisted-file", f"f{i}", "belongs to no case.") for i in range(30))
    console.show_examination(examination(facts("a"), findings=alike))
    assert pipe.getvalue().count("warning: ") == 5
    assert "... and 25 more unlisted-file: --json FILE\n" in pipe.getvalue()
    assert pipe.getvalue().endswith("1 case, 0 errors, 30 warnings.\n")


def test_a_plan_is_told_in_short_words_with_each_reason_below(terminal: StringIO):
    plan = Plan(
        channels=("CT", "T2"),
        labels=Labels.from_names({"liver": 1, "spleen": 2}),
        spacing=(1.0, 1.0, 5.0),
        shape=(120, 120, 20),
        crop_nonzero=False,
        normalisation=(
            Normalisation(kind="ct", mean=133.4, deviation=87.66, low=-198, high=413),
            Normalisation(kind="zscore", nonzero=True),
        ),
        separate_axis=2,
        patch=(64, 64, 16),
        batch_size=2,
        network=Network(
            features=(16, 32, 64),
            strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
            kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
            convolutions=(2, 2, 2),
        ),
        memory_gb=1.23456,
        reasons={"network": "3 stages. " * 12},
    )
    console.show_plan(plan)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    told = dict(line.split(maxsplit=1) for line in lines if not line.startswith(" "))
    assert told["normalisation"].startswith("CT: clip -198..413, mean 133.4, deviation 87.66; T2:")
    assert told["network"] == "16-32-64, strides 1-2x2x1-2, kernels 3x3x1-3-3"
    assert told["spacing"] == "1x1x5 mm"
    assert told["separate_axis"] == "axis 2"
    assert f"{' ' * 15}3 stages. 3 stages." in terminal.getvalue()


def test_scores_fit_a_terminal(terminal: StringIO):
    metrics = ("dice", "iou", "sensitivity", "precision", "specificity", "volume_ml")
    values = dict.fromkeys((*metrics, "true_volume_ml"), 0.5)
    rows = [Row(case=case, label="hippocampus_left_anterior", values=values) for case in "ab"]
    console.show_scores(Table(tuple(rows)))
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Mean Dice 0.5000 over 2 cases (95 % interval 0.5000 to 0.5000)"


def test_of_many_classes_the_figures_that_rank_are_shown(terminal: StringIO):
    values = {"dice": 0.5, "iou": 0.4, "hd95_mm": 3.0, "volume_ml": 7.0}
    rows = [Row(case="a", label=f"class {i}", values=values) for i in range(6)]
    console.show_scores(Table(tuple(rows)))
    heads, *lines = terminal.getvalue().splitlines()
    assert heads.split() == ["class", "dice", "hd95_mm"]
    assert len(lines) == 8


def test_presence_is_told_by_class(terminal: StringIO):
    found = {
        "lesion": Presence(
            cases=4, present=3, accuracy=0.75, sensitivity=1.0, specificity=0.0, auc=0.5
        )
    }
    console.show_presence(found)
    heads, line = terminal.getvalue().split("\n", 1)[1].splitlines()
    assert heads.split()[-4:] == ["accuracy", "sensitivity", "specificity", "AUC"]
    assert line.split() == ["lesion", "4", "3", "0.7500", "1.0000", "0.0000", "0.5000"]


def test_bars_are_silent_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]):
    with console.showing_progress() as bars:
        assert list(bars.track("abc", 3, "reading")) == ["a", "b", "c"]
        bars.training(0.5, "step 1")
    assert capsys.readouterr() == ("", "")


def test_bars_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    out = StringIO()
    shown = Console(file=out, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "errors", shown)
    with console.showing_progress() as bars:
        list(bars.track("abc", 3, "reading"))
        bars.figures = ", Dice 0.5"
        bars.training(0.5, "step 1")
    assert "reading" in out.getvalue()
    assert "training, step 1, Dice 0.5" in out.getvalue()
    assert out.getvalue().endswith("\x1b[1A\x1b[2K")
