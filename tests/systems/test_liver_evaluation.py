"""Liver, tumour and both against the truth: figures, grids, what has no value, files, messages."""

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from delineate.errors import DataError
from delineate.metrics import mean_interval
from delineate.systems.liver.commands import run_evaluation
from delineate.systems.liver.evaluation import METRICS, REGIONS, evaluate, summarise
from delineate.systems.liver.settings import ModelEvaluationConfig

SPACING = (0.8, 1.0, 2.5)
COLUMNS = [
    "dice_liver", "dice_tumor", "dice_whole", "iou_liver", "iou_tumor", "iou_whole",
    "bf1_liver", "bf1_tumor", "bf1_whole", "accuracy_liver", "accuracy_tumor", "accuracy_whole",
]  # fmt: skip


def write(path: Path, mask: np.ndarray, spacing: tuple[float, ...] = SPACING) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.diag([*spacing, 1.0])), path)


def drawn(shift: int = 0, *, tumour: bool = True) -> np.ndarray:
    mask = np.zeros((14, 12, 8), np.uint8)
    mask[2 + shift : 10 + shift, 2:9, 1:6] = 1
    if tumour:
        mask[4 : 7 + shift, 4:6, 2:4] = 2
    return mask


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three subjects: one is right, one is a voxel off, one has no tumour and nothing drawn."""
    cases = {
        "a": (drawn(), drawn()),
        "b": (drawn(1), drawn()),
        "c": (drawn(tumour=False), drawn(tumour=False)),
    }
    for name, (found, true) in cases.items():
        write(tmp_path / "predictions" / f"{name}_pred.nii.gz", found)
        write(tmp_path / "tree" / "test" / f"{name}_label.nii.gz", true)
    return tmp_path


def config(tree: Path, **changed: Any) -> ModelEvaluationConfig:
    given = {"pred_dir": tree / "predictions", "gt_dir": tree / "tree" / "test"}
    return ModelEvaluationConfig(**{**given, "csv_path": tree / "results.csv", **changed})


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels with a face neighbour outside, in mm."""
    inner = np.pad(mask, 1)
    kept = inner.copy()
    for axis in range(3):
        kept &= np.roll(inner, 1, axis) & np.roll(inner, -1, axis)
    return np.argwhere((inner & ~kept)[1:-1, 1:-1, 1:-1]) * np.array(SPACING)


def by_hand(found: np.ndarray, true: np.ndarray, tolerance: float) -> dict[str, float]:
    both, either = (found & true).sum(), (found | true).sum()
    one, other = surface(found), surface(true)
    distances = np.linalg.norm(one[:, None] - other[None], axis=2)
    precision = (distances.min(1) <= tolerance + 1e-9).mean()
    recall = (distances.min(0) <= tolerance + 1e-9).mean()
    total = precision + recall
    return {
        "dice": 2 * both / (found.sum() + true.sum()),
        "iou": both / either,
        "accuracy": both / true.sum(),
        "bf1": 2 * precision * recall / total if total else 0.0,
    }


@pytest.mark.parametrize("tolerance", [0.0, 0.8, 2.6])
def test_figures_are_those_counted_by_hand_with_boundaries_in_mm(tree: Path, tolerance: float):
    figures = evaluate(config(tree, tolerance_mm=tolerance)).rows["b"]
    found, true = drawn(1), drawn()
    masks = {
        "liver": (found == 1, true == 1),
        "tumor": (found == 2, true == 2),
        "whole": (found > 0, true > 0),
    }
    for region, pair in masks.items():
        for metric, value in by_hand(*pair, tolerance).items():
            assert figures[f"{metric}_{region}"] == pytest.approx(value, abs=1e-6), (metric, region)


def test_a_perfect_prediction_scores_one_and_one_of_nothing_scores_zero(tree: Path):
    write(tree / "predictions" / "b_pred.nii.gz", np.zeros((14, 12, 8)))
    rows = evaluate(config(tree)).rows
    assert set(rows["a"].values()) == {1.0}
    assert {rows["b"][f"{m}_{r}"] for m in METRICS for r in REGIONS} == {0.0}


def test_what_is_empty_in_both_has_no_value_and_counts_in_no_mean(tree: Path):
    settings = config(tree)
    found = evaluate(settings)
    empty = [c for c, v in found.rows["c"].items() if np.isnan(v)]
    assert empty == [c for c in COLUMNS if c.endswith("_tumor")]
    dice = [found.rows[name]["dice_tumor"] for name in "ab"]
    low, high = mean_interval(dice, bounds=(0, 1))
    text = summarise(found, settings)
    assert f"{np.mean(dice):.3f} ({low:.3f} to {high:.3f}) of 2" in text


def test_the_table_has_the_documented_columns_and_empty_cells(tree: Path, capsys):
    here = ["--pred_dir", str(tree / "predictions"), "--gt_dir", str(tree / "tree" / "test")]
    run_evaluation([*here, "--csv_path", str(tree / "results.csv")])
    with (tree / "results.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [*COLUMNS, "subject_id"]
    assert [row[-1] for row in rows] == ["a", "b", "c"]
    assert [rows[2][head.index(f"{m}_tumor")] for m in ("dice", "iou", "bf1")] == [""] * 3
    assert float(rows[0][0]) == 1
    assert "3 subjects" in capsys.readouterr().out


@pytest.mark.parametrize(("flag", "file", "shown"), [
    ("--no-save_csv", False, True), ("--no-print_summary", True, False),
])  # fmt: skip
def test_table_and_summary_can_be_turned_off_and_on(tree: Path, capsys, flag, file, shown):
    settings = tree / "settings.json"
    off = {"pred_dir": str(tree / "predictions"), "gt_dir": str(tree / "tree" / "test")}
    settings.write_text(json.dumps(off | {"csv_path": str(tree / "results.csv")}))
    run_evaluation(["--config", str(settings), flag])
    assert (tree / "results.csv").is_file() is file
    assert ("subjects" in capsys.readouterr().out) is shown
    settings.write_text(json.dumps(off | {"save_csv": False, "csv_path": str(tree / "x.csv")}))
    run_evaluation(["--config", str(settings), "--save_csv"])
    assert (tree / "x.csv").is_file()


def test_the_truth_is_that_on_the_grid_of_the_prediction(tree: Path):
    """Twice as fine in the scan as in the tree; the native truth says something else."""
    fine = np.kron(drawn(), np.ones((2, 2, 2), np.uint8))
    shifted = np.roll(fine, 2, axis=1)
    half = tuple(s / 2 for s in SPACING)
    write(tree / "tree" / "native" / "a_label.nii.gz", shifted, half)
    write(tree / "tree" / "native" / "b_label.nii.gz", shifted, half)
    write(tree / "predictions" / "a_pred.nii.gz", shifted, half)
    rows = evaluate(config(tree)).rows
    assert rows["a"]["dice_tumor"] == 1
    assert rows["b"]["dice_tumor"] == pytest.approx(by_hand(drawn(1) == 2, drawn() == 2, 1)["dice"])


def test_a_prediction_on_no_known_grid_is_named_and_the_rest_done(tree: Path, capsys):
    write(tree / "predictions" / "a_pred.nii.gz", np.zeros((5, 5, 5)))
    (tree / "predictions" / "b_pred.nii.gz").unlink()
    found = evaluate(config(tree))
    assert list(found.rows) == ["c"]
    assert found.failures["a"].startswith(
        "a: the prediction is 5x5x5, but the truth is 14x12x8 (canonical axes). Fix: "
    )
    assert "b_pred.nii.gz: no prediction." in found.failures["b"]
    here = ["--pred_dir", str(tree / "predictions"), "--gt_dir", str(tree / "tree" / "test")]
    with pytest.raises(SystemExit) as left:
        run_evaluation([*here, "--csv_path", str(tree / "results.csv")])
    assert left.value.code == 2
    assert (tree / "results.csv").is_file()
    assert capsys.readouterr().err.count("\n") == 2


def test_masks_of_one_shape_in_other_places_are_not_compared(tree: Path):
    write(tree / "predictions" / "a_pred.nii.gz", drawn(), (0.8, 1.0, 3.5))
    assert "the grids of prediction and truth lie up to" in evaluate(config(tree)).failures["a"]


def test_a_network_of_one_structure_says_nothing_of_the_others(tree: Path):
    (tree / "predictions" / "prediction.json").write_text('{"labels": [0, 2]}')
    rows = evaluate(config(tree)).rows
    known = {c for row in rows.values() for c, v in row.items() if not np.isnan(v)}
    assert known == {c for c in COLUMNS if c.endswith("_tumor")}


def test_ids_metrics_and_subjects_are_those_that_are_asked_for(tree: Path):
    other = {0: 0, 1: 6, 2: 3}
    ids = np.vectorize(other.get)(drawn())
    for path in (tree / "predictions" / "a_pred.nii.gz", tree / "tree/test/a_label.nii.gz"):
        write(path, ids)
    asked = {"subject_ids": ["a"], "metrics": ["bf1", "dice"]}
    named = {"liver_label": 6, "tumor_label": 3, "num_classes": 7}
    found = evaluate(config(tree, **asked, **named))
    assert found.columns == tuple(f"{m}_{r}" for m in ("bf1", "dice") for r in REGIONS)
    assert found.rows == {"a": dict.fromkeys(found.columns, 1.0)}
    wrong = evaluate(config(tree, **asked)).failures["a"]
    assert wrong.startswith("a mask holds the ids 0 to 6, but with num_classes=3 there are 0 to 2.")


def test_folders_without_masks_are_one_message(tree: Path):
    with pytest.raises(DataError, match="no such folder of predictions"):
        evaluate(config(tree, pred_dir=tree / "nowhere"))
    with pytest.raises(DataError, match=r"no file ends in _mask\.nii\. Fix: "):
        evaluate(config(tree, gt_suffix="_mask.nii"))
