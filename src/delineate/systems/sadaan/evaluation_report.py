"""evaluation_report.txt: the figures of an evaluation as a person reads them."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np

from delineate.systems.sadaan.detailed_metrics import Findings

__all__ = ["aligned", "figure", "report_text"]

WORST = 5
"""How many samples are named that were done worst."""


def report_text(found: Findings, metrics: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """The whole report.

    Args:
        found: Of every sample and structure.
        metrics: What `detail` makes of it.
        facts: What was evaluated, in words by name, for the head.
    """
    width = max(map(len, facts), default=0)
    head = [f"{name.ljust(width)}  {value}" for name, value in facts.items()]
    parts = [
        ("SADAAN EVALUATION", head),
        ("OVERALL", _overall(found, metrics)),
        ("PRESENCE OF EACH STRUCTURE", _presence(metrics)),
        ("SEGMENTATION OF EACH STRUCTURE", _segmentation(found, metrics)),
        ("SCENARIOS", _scenarios(found, metrics)),
        ("SAMPLES WITH THE LOWEST DICE", _worst(found)),
        ("HOW TO READ THIS", _explanations(found.threshold)),
    ]
    return "\n\n".join(f"{title}\n{'-' * len(title)}\n" + "\n".join(p) for title, p in parts) + "\n"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return [
        "  ".join(
            text.rjust(width) if i else text.ljust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def figure(value: float | None) -> str:
    """Three digits behind the point; a dash where there is no value."""
    return "-" if value is None or isnan(value) else f"{value:.3f}"


def _overall(found: Findings, metrics: Mapping[str, Any]) -> list[str]:
    overlap = metrics["segmentation_overall"]
    absent = found.true_voxels == 0
    return [
        f"presence accuracy      {metrics['presence_overall_accuracy']:.4f}",
        f"mean Dice              {overlap['mean_dice']:.4f}   every structure of every sample",
        f"mean IoU               {overlap['mean_iou']:.4f}",
        f"mean Dice, if present  {figure(_mean(found.dice[~absent]))}    without the absent ones",
        f"mean IoU, if present   {figure(_mean(found.iou[~absent]))}",
        f"false alarms           {int(found.false_alarms.sum())} of {int(absent.sum())} "
        "absent structures were given voxels",
    ]


def _presence(metrics: Mapping[str, Any]) -> list[str]:
    columns = ["structure", "present", "absent", "accuracy", "precision", "recall", "F1"]
    columns += ["AUC ROC", "AUC PR", "missed", "false alarms"]
    rows = [
        [
            name,
            str(f["support_positive"]),
            str(f["support_negative"]),
            *(figure(f[key]) for key in ("accuracy", "precision", "recall", "f1_score")),
            *(figure(f[key]) for key in ("auc_roc", "auc_pr")),
            str(f["false_negatives"]),
            str(f["false_positives"]),
        ]
        for name, f in metrics["presence_per_structure"].items()
    ]
    return aligned(columns, rows)


def _segmentation(found: Findings, metrics: Mapping[str, Any]) -> list[str]:
    columns = ["structure", "samples", "Dice", "+-", "IoU", "+-", "Dice, if present"]
    columns += ["false alarms"]
    rows = []
    for i, (name, f) in enumerate(metrics["segmentation_per_structure"].items()):
        there = found.true_voxels[:, i] > 0
        keys = ("mean_dice", "std_dice", "mean_iou", "std_iou")
        alarms = f"{int(found.false_alarms[:, i].sum())} of {int((~there).sum())}"
        shown = figure(_mean(found.dice[there, i]))
        rows.append([name, str(f["num_samples"]), *(figure(f[k]) for k in keys), shown, alarms])
    return aligned(columns, rows)


def _scenarios(found: Findings, metrics: Mapping[str, Any]) -> list[str]:
    columns = ["scenario", "samples", "accuracy", "present", "called present", "Dice"]
    rows = []
    for name, f in metrics["scenario_based"].items():
        chosen = [scenario == name for scenario in found.scenarios]
        means = (f["avg_structures_present"], f["avg_structures_predicted"])
        rows.append(
            [
                name or "(not named)",
                str(f["num_samples"]),
                figure(f["accuracy"]),
                *(f"{mean:.2f}" for mean in means),
                figure(_mean(found.dice[chosen])),
            ]
        )
    return aligned(columns, rows)


def _worst(found: Findings) -> list[str]:
    means = found.dice.mean(axis=1)
    rows = []
    for place in np.argsort(means, kind="stable")[:WORST].tolist():
        wrong = [
            name for name, ok in zip(found.structures, found.right[place], strict=True) if not ok
        ]
        lowest = found.structures[int(found.dice[place].argmin())]
        rows.append(
            [
                str(place),
                figure(float(means[place])),
                found.scenarios[place] or "-",
                f"{lowest} {found.dice[place].min():.3f}",
                ", ".join(wrong) or "none",
            ]
        )
    return aligned(["sample", "Dice", "scenario", "lowest structure", "presence wrong"], rows)


def _explanations(threshold: float) -> list[str]:
    return [
        f"A structure is called present from a probability of {threshold:g} on; of one that is",
        "called absent, no voxel is kept. A voxel belongs to a structure from a probability of",
        "0.5 on. Dice and IoU are of these masks: 1 where a structure is absent and no voxel is",
        "given to it, 0 where it is missed or where an absent one is given voxels. '+-' is the",
        "standard deviation over the samples. AUC PR is average precision. '-' has no value.",
    ]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else nan
