"""Predicted masks against the truth: liver, tumour, and both together, of every subject.

Liver and tumour are what their own id marks; whole is the union of both. Where truth and prediction
are both empty nothing was to be found and nothing was: such a figure has no value, and means leave
it out. Accuracy leaves the background out, which is right nearly everywhere: it is the share of the
true voxels that were found. Masks are compared on the grid that the prediction lies on.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from pathlib import Path

import numpy as np

from delineate.errors import DataError, DelineateError
from delineate.io import Volume, atomic_path, read_header, read_mask
from delineate.labels import Class, Labels
from delineate.metrics import count, mean_interval, measure_surfaces
from delineate.metrics.folders import compare_grids
from delineate.systems.liver.prediction_folder import read_labels
from delineate.systems.liver.settings import ModelEvaluationConfig
from delineate.systems.liver.subjects import NATIVE

__all__ = ["METRICS", "REGIONS", "Evaluation", "evaluate", "summarise", "write_csv"]

log = logging.getLogger("delineate")

REGIONS = ("liver", "tumor", "whole")
METRICS = ("dice", "iou", "bf1", "accuracy")
LIVER, TUMOR = 1, 2
"""The ids that masks are compared with, whatever they are in the files."""
LABELS = Labels(
    classes=(
        Class(name="whole"),
        Class(name="liver", id=LIVER, parent="whole"),
        Class(name="tumor", id=TUMOR, parent="whole"),
    )
)

Figures = Mapping[str, float]
"""By column, such as `dice_liver`; NaN where there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of every subject that could be compared, and why the others could not."""

    columns: tuple[str, ...]
    rows: Mapping[str, Figures]
    """By subject."""
    failures: Mapping[str, str]


def evaluate(config: ModelEvaluationConfig) -> Evaluation:
    """Compare all predictions with their truth; a subject that cannot be is named, the rest done.

    A subject that has a truth but no prediction is a failure: left out, it would flatter the mean.
    """
    config.check()
    if config.device != "cpu":
        log.info("device is %s: figures are counted on the processor all the same.", config.device)
    subjects = _subjects(config)
    columns = tuple(f"{metric}_{region}" for metric in config.metrics for region in REGIONS)
    regions = _predicted_regions(config)
    score = partial(_try, config=config, regions=regions)
    with ThreadPoolExecutor(config.batch_size) as pool:
        found = dict(zip(subjects, pool.map(score, subjects), strict=True))
    return Evaluation(
        columns=columns,
        rows={s: {c: f[c] for c in columns} for s, f in found.items() if not isinstance(f, str)},
        failures={s: message for s, message in found.items() if isinstance(message, str)},
    )


def write_csv(found: Evaluation, path: str | Path) -> None:
    """A row per subject, its id in the last column; what has no value is left empty."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*found.columns, "subject_id"])
        for subject, figures in found.rows.items():
            values = [figures[column] for column in found.columns]
            writer.writerow(["" if isnan(v) else f"{v:.6f}" for v in values] + [subject])


def summarise(found: Evaluation, config: ModelEvaluationConfig) -> str:
    """Means over the subjects and where they would lie for other subjects, as a table in text."""
    heads = {"bf1": f"bf1 ({config.tolerance_mm:g} mm)"}
    lines = [
        f"{len(found.rows)} subject{'s' * (len(found.rows) != 1)}: mean (95 % interval), and of "
        "how many where some have no value",
        _line("", [heads.get(metric, metric) for metric in config.metrics]),
    ]
    for region in REGIONS:
        columns = (f"{metric}_{region}" for metric in config.metrics)
        values = ([row[column] for row in found.rows.values()] for column in columns)
        lines.append(_line(region, [_mean(column) for column in values]))
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:<7}" + "".join(f"{cell:<30}" for cell in cells).rstrip()


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if not isnan(value)]
    if not known:
        return "-"
    low, high = mean_interval(known, bounds=(0.0, 1.0))
    interval = "" if isnan(low) else f" ({low:.3f} to {high:.3f})"
    number = f" of {len(known)}" if len(known) < len(values) else ""
    return f"{np.mean(known):.3f}{interval}{number}"


def _subjects(config: ModelEvaluationConfig) -> list[str]:
    """Those that are asked for, or all that have a truth."""
    for folder, kind in ((config.pred_dir, "predictions"), (config.gt_dir, "truth")):
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: no such folder of {kind}.")
    if config.subject_ids is not None:
        return list(dict.fromkeys(config.subject_ids))
    suffix = config.gt_suffix
    found = [p.name.removesuffix(suffix) for p in Path(config.gt_dir).glob(f"*{suffix}")]
    if not found:
        raise DataError(
            f"{config.gt_dir}: no file ends in {suffix}. Fix: name the folder of the true masks as "
            "gt_dir, and what their names end in as gt_suffix."
        )
    return sorted(name for name in found if not name.startswith("."))


def _predicted_regions(config: ModelEvaluationConfig) -> frozenset[str]:
    """What the predictions can hold at all: one of a single structure says nothing of another."""
    known = read_labels(Path(config.pred_dir))
    if known is None:
        return frozenset(REGIONS)
    ids = {"liver": config.liver_label, "tumor": config.tumor_label}
    found = {name for name, number in ids.items() if number in known}
    whole = {"whole"} if len(found) == len(ids) else set()
    if left := [name for name in REGIONS if name not in found | whole]:
        log.info("The network that made the predictions does not draw: %s.", ", ".join(left))
    return frozenset(found | whole)


def _try(subject: str, config: ModelEvaluationConfig, regions: frozenset[str]) -> Figures | str:
    try:
        found = _score(subject, config, regions)
    except DelineateError as error:
        return str(error)
    if config.debug:
        log.info("%s: %s", subject, ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    return found


def _score(subject: str, config: ModelEvaluationConfig, regions: frozenset[str]) -> Figures:
    path = Path(config.pred_dir) / f"{subject}{config.pred_suffix}"
    if not path.is_file():
        raise DataError(f"{path}: no prediction. Fix: run_prediction.py, then this again.")
    prediction = read_mask(path)
    truth = _read_truth(subject, prediction, config)
    masks = _regions(prediction, config), _regions(truth, config)
    counts = count(*masks, LABELS)
    surfaces = measure_surfaces(*masks, LABELS, truth.spacing) if "bf1" in config.metrics else {}
    figures = {}
    for region in REGIONS:
        counted = counts[region]
        told = region in regions and counted.true + counted.predicted > 0
        values = {"dice": counted.dice, "iou": counted.iou, "accuracy": counted.sensitivity}
        if region in surfaces:
            values["bf1"] = surfaces[region].boundary_f1(config.tolerance_mm)
        figures |= {f"{metric}_{region}": v if told else nan for metric, v in values.items()}
    return figures


def _read_truth(subject: str, prediction: Volume, config: ModelEvaluationConfig) -> Volume:
    """The true mask on the grid of the prediction: the scan's own, or that of the tree."""
    name = f"{subject}{config.gt_suffix}"
    folder = Path(config.gt_dir)
    there = [p for p in (folder.parent / NATIVE / name, folder / name) if p.is_file()]
    if not there:
        raise DataError(f"{folder / name}: no true mask.")
    fitting = [path for path in there if read_header(path).shape == prediction.shape]
    if not fitting:
        shapes = " and ".join("x".join(map(str, read_header(path).shape)) for path in there)
        own = "x".join(map(str, prediction.shape))
        raise DataError(
            f"{subject}: the prediction is {own}, but the truth is {shapes} (canonical axes). "
            "Fix: compare masks on the grid of the scan, where run_prediction.py writes them."
        )
    for path in fitting[:-1]:
        truth = read_mask(path)
        with suppress(DataError):
            compare_grids(subject, prediction, truth)
            return truth
    truth = read_mask(fitting[-1])
    compare_grids(subject, prediction, truth)
    return truth


def _regions(volume: Volume, config: ModelEvaluationConfig) -> np.ndarray:
    """Liver and tumour under ids of ours (*s); a structure that is neither is background."""
    mask = volume.array[0]
    known = {config.background_label, config.liver_label, config.tumor_label}
    highest = max(*known, config.num_classes - 1)
    if mask.min(initial=0) < 0 or mask.max(initial=0) > highest:
        raise DataError(
            f"a mask holds the ids {mask.min()} to {mask.max()}, but with num_classes="
            f"{config.num_classes} there are 0 to {highest}. Fix: give num_classes of the data."
        )
    found = np.zeros(mask.shape, np.uint8)
    found[mask == config.liver_label] = LIVER
    found[mask == config.tumor_label] = TUMOR
    return found
