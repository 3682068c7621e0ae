"""Evaluations side by side: figures, gaps, what is missing."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from delineate.errors import DataError
from delineate.systems.sadaan.analysis import analyse
from delineate.systems.sadaan.evaluation_commands import run_analysis


def metrics(dice: float, *, scenario: str = "complete") -> dict[str, Any]:
    structures = {"liver": dice, "spleen": dice - 0.2}
    return {
        "presence_overall_accuracy": dice + 0.05,
        "presence_per_structure": {
            name: {"accuracy": value, "f1_score": value, "auc_roc": None}
            for name, value in structures.items()
        },
        "segmentation_per_structure": {
            name: {"mean_dice": value, "mean_iou": value / 2} for name, value in structures.items()
        },
        "segmentation_overall": {"mean_dice": dice - 0.1, "mean_iou": dice / 2},
        "scenario_based": {scenario: {"accuracy": dice, "num_samples": 3}},
    }


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {"train": metrics(0.9), "test": metrics(0.7, scenario="without spleen")}
    for split, content in found.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / "detailed_metrics.json").write_text(json.dumps(content))
    return {split: tmp_path / split / "detailed_metrics.json" for split in found}


def line(text: str, start: str) -> list[str]:
    return next(row for row in text.splitlines() if row.startswith(start)).split()


def test_every_row_has_each_split_and_the_gap(files: dict[str, Path], tmp_path: Path) -> None:
    text = analyse(files, tmp_path / "out")
    assert line(text, "presence accuracy")[2:] == ["0.950", "0.750", "+0.200"]
    assert line(text, "Dice ")[1:] == ["0.800", "0.600", "+0.200"]
    assert line(text, "spleen")[1:] == ["0.700", "0.500", "+0.200"]
    assert line(text, "without spleen")[2:] == ["-", "0.700", "-"]
    assert "lowest Dice in test: spleen 0.500, liver 0.700" in text
    assert "largest fall of Dice from train to test: liver -0.200" in text
    assert (tmp_path / "out" / "analysis_report.txt").read_text() == text


def test_the_table_and_the_pictures_hold_the_same(files: dict[str, Path], tmp_path: Path) -> None:
    analyse(files, tmp_path / "out")
    with (tmp_path / "out" / "analysis.csv").open() as file:
        rows = list(csv.DictReader(file))
    dice = next(r for r in rows if (r["name"], r["metric"]) == ("liver", "Dice"))
    assert (dice["of"], dice["train"], dice["test"]) == ("structure", "0.9", "0.7")
    auc = next(r for r in rows if r["metric"] == "presence AUC ROC")
    assert (auc["train"], auc["test"]) == ("", "")
    for name in ("dice_per_structure.png", "presence_per_structure.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_the_command_takes_any_of_the_three_and_folders(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_analysis(["--test", str(files["test"].parent), "-o", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert line(said, "IoU ")[1:] == ["0.350"]
    assert "largest fall" not in said


def test_what_cannot_be_read_is_named(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"nothing to read\. Fix: give --train, --val or --test"):
        analyse({}, tmp_path / "out")
    files["test"].write_text(json.dumps({"presence_overall_accuracy": 1}))
    with pytest.raises(DataError, match=r"has no 'presence_per_structure'\. Fix: give a detailed_"):
        analyse(files, tmp_path / "out")
    files["test"].write_text("{")
    with pytest.raises(DataError, match=r"detailed_metrics\.json: not JSON \("):
        analyse(files, tmp_path / "out")
    with pytest.raises(SystemExit):
        run_analysis(["--val", str(tmp_path / "none.json"), "-o", str(tmp_path / "out")])
    assert "none.json: no such file. Fix: python test.py writes it." in capsys.readouterr().err
