"""detailed_metrics.json and the report: every figure against a count by hand."""

import json
from itertools import combinations, product

import numpy as np
import pytest

from delineate.systems.sadaan.detailed_metrics import Findings, detail
from delineate.systems.sadaan.evaluation_report import report_text

STRUCTURES = ("liver", "spleen", "L1")
PRESENCE = {
    "accuracy", "precision", "recall", "f1_score", "true_positives", "true_negatives",
    "false_positives", "false_negatives", "support_positive", "support_negative", "auc_roc",
    "auc_pr",
}  # fmt: skip


def found(samples: int = 12, seed: int = 0, threshold: float = 0.5) -> Findings:
    """Few values of probability, so that there are ties."""
    rng = np.random.default_rng(seed)
    shape = samples, len(STRUCTURES)
    present = rng.random(shape) < 0.6
    present[:2] = [[True], [False]]
    return Findings(
        structures=STRUCTURES,
        scenarios=tuple(rng.choice(["complete", "without"], samples)),
        present=present,
        probability=rng.integers(0, 9, shape) / 8,
        threshold=threshold,
        dice=rng.random(shape),
        iou=rng.random(shape),
        true_voxels=np.where(present, 5, 0),
        predicted_voxels=rng.integers(0, 2, shape),
    )


def test_the_keys_are_the_documented_ones() -> None:
    metrics = detail(found())
    assert set(metrics) == {
        "presence_overall_accuracy", "presence_per_structure", "segmentation_per_structure",
        "segmentation_overall", "scenario_based",
    }  # fmt: skip
    assert set(metrics["presence_per_structure"]) == set(STRUCTURES)
    assert all(set(entry) == PRESENCE for entry in metrics["presence_per_structure"].values())
    for entry in metrics["segmentation_per_structure"].values():
        assert set(entry) == {"mean_dice", "std_dice", "mean_iou", "std_iou", "num_samples"}
    assert set(metrics["segmentation_overall"]) == {"mean_dice", "mean_iou"}
    for entry in metrics["scenario_based"].values():
        assert set(entry) == {
            "accuracy", "num_samples", "avg_structures_present", "avg_structures_predicted",
        }  # fmt: skip
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize(("seed", "threshold"), [*product(range(4), (0.3, 0.5))])
def test_presence_is_as_counted_by_hand(seed: int, threshold: float) -> None:
    findings = found(seed=seed, threshold=threshold)
    metrics = detail(findings)
    right = 0
    for i, name in enumerate(STRUCTURES):
        entry = metrics["presence_per_structure"][name]
        truth = findings.present[:, i].tolist()
        scores = findings.probability[:, i].tolist()
        pairs = [(t, s >= threshold) for t, s in zip(truth, scores, strict=True)]
        tp, tn, fp, fn = (pairs.count(p) for p in [(1, 1), (0, 0), (0, 1), (1, 0)])
        right += tp + tn
        assert [entry[k] for k in ("true_positives", "true_negatives")] == [tp, tn]
        assert [entry[k] for k in ("false_positives", "false_negatives")] == [fp, fn]
        assert [entry["support_positive"], entry["support_negative"]] == [tp + fn, tn + fp]
        assert entry["accuracy"] == pytest.approx((tp + tn) / 12)
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        assert entry["precision"] == pytest.approx(precision)
        assert entry["recall"] == pytest.approx(recall)
        if precision + recall:
            f1 = 2 * precision * recall / (precision + recall)
            assert entry["f1_score"] == pytest.approx(f1)
        wins = [
            1.0 if a > b else 0.5 if a == b else 0.0
            for a, b in product(
                [s for s, t in zip(scores, truth, strict=True) if t],
                [s for s, t in zip(scores, truth, strict=True) if not t],
            )
        ]
        assert entry["auc_roc"] == pytest.approx(sum(wins) / len(wins))
        area, before = 0.0, 0.0
        for cut in sorted(set(scores), reverse=True):
            hits = [t for s, t in zip(scores, truth, strict=True) if s >= cut]
            reached = sum(hits) / (tp + fn)
            area += (reached - before) * sum(hits) / len(hits)
            before = reached
        assert entry["auc_pr"] == pytest.approx(area)
    assert metrics["presence_overall_accuracy"] == pytest.approx(right / 36)


def test_overlap_and_scenarios_are_means_over_all_samples() -> None:
    findings = found()
    metrics = detail(findings)
    for i, name in enumerate(STRUCTURES):
        entry = metrics["segmentation_per_structure"][name]
        values = findings.dice[:, i].tolist()
        mean = sum(values) / 12
        assert entry["mean_dice"] == pytest.approx(mean)
        assert entry["std_dice"] == pytest.approx(
            (sum((v - mean) ** 2 for v in values) / 12) ** 0.5
        )
        assert entry["mean_iou"] == pytest.approx(findings.iou[:, i].sum() / 12)
        assert entry["num_samples"] == 12
    assert metrics["segmentation_overall"]["mean_dice"] == pytest.approx(findings.dice.sum() / 36)
    rows = [i for i, scenario in enumerate(findings.scenarios) if scenario == "without"]
    entry = metrics["scenario_based"]["without"]
    assert entry["num_samples"] == len(rows)
    present = sum(findings.present[i].sum() for i in rows)
    called = sum((findings.probability[i] >= 0.5).sum() for i in rows)
    assert entry["avg_structures_present"] == pytest.approx(present / len(rows))
    assert entry["avg_structures_predicted"] == pytest.approx(called / len(rows))


def test_what_has_no_value_is_null() -> None:
    findings = found(samples=2)
    findings.present[:] = False
    findings.probability[:] = 0.0
    entry = detail(findings)["presence_per_structure"]["liver"]
    assert entry["accuracy"] == 1
    assert [entry[k] for k in ("precision", "recall", "f1_score")] == [None] * 3
    assert [entry["auc_roc"], entry["auc_pr"]] == [None, None]


def test_the_report_says_what_the_figures_are() -> None:
    findings = found()
    metrics = detail(findings)
    text = report_text(findings, metrics, {"weights": "best.pth", "data": "test.h5"})
    assert "weights  best.pth\ndata     test.h5" in text
    assert f"presence accuracy      {metrics['presence_overall_accuracy']:.4f}" in text
    assert f"{int(findings.false_alarms.sum())} of {int((~findings.present).sum())} absent" in text
    liver = [line for line in text.splitlines() if line.startswith("liver")]
    dice = metrics["segmentation_per_structure"]["liver"]["mean_dice"]
    assert len(liver) == 2
    assert f"{dice:.3f}" in liver[1]
    assert "1 where a structure is absent and no voxel is\ngiven to it" in text
    assert text.isascii()
    titles = [
        a for a, b in zip(text.splitlines(), text.splitlines()[1:], strict=False) if b[:1] == "-"
    ]
    assert len(titles) == 7
    assert all(a != b for a, b in combinations(titles, 2))
