"""Classes or masks of new slices: a checkpoint over a folder of pictures, scans or DICOM series.

A classifier writes `predictions.csv`, a row for each slice with the probability of every class, and
`series.csv`, in which the slices of each series have voted. A network that draws writes a mask for
each picture or scan, on its own grid, under its own name, and `masks.csv`.
"""

import csv
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from delineate.errors import DelineateError
from delineate.inference.made_by import FILE
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.report.hashes import hash_file
from delineate.systems.spine.prediction.answers import Answerer, choose_device, threshold
from delineate.systems.spine.prediction.finished import Finished
from delineate.systems.spine.prediction.open_answerer import open_answerer
from delineate.systems.spine.prediction.series_slices import (
    Slices,
    mask_files,
    read_slices,
    write_masks,
)
from delineate.systems.spine.schema.entries import Section
from delineate.systems.spine.slices.series import Series, find_series, refuse_inside
from delineate.systems.spine.slices.volume_pictures import Cut

__all__ = ["PredictionSettings", "predict", "predict_series"]

log = logging.getLogger("delineate")

Progress = Callable[[Sequence[Series]], Iterable[Series]]
"""Hands the series on and shows how many are done."""
Row = Sequence[object]


class PredictionSettings(Section):
    """How a checkpoint is asked, and how masks are written."""

    batch_size: Annotated[int, Ge(1)] = 16
    """Slices that go through the network together."""
    confidence: Annotated[float, Ge(0), Le(1)] = 0.5
    """From which probability on a pixel belongs to the mask, where there is one structure."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    plane: Cut = "auto"
    """Which way scans in one file are cut into slices."""
    nifti: bool = False
    """Whether a DICOM series gets a NIfTI mask in place of a DICOM-SEG."""


def predict(
    checkpoint: Path,
    place: Path,
    out: Path,
    asked: PredictionSettings,
    progress: Progress = iter,
) -> Finished:
    """Predict every series of a file or a folder; one that fails is named, the others are done."""
    refuse_inside(place, out)
    series = find_series(place)
    device = choose_device(asked.device)
    answerer = open_answerer(checkpoint, device=device, batch=asked.batch_size)
    made_by = {"checkpoint": str(checkpoint), "sha256": hash_file(checkpoint)}
    with atomic_path(out / FILE) as part:
        settings = asked.model_dump(mode="json")
        part.write_text(json.dumps({**made_by, "settings": settings}, indent=1), encoding="utf-8")
    return predict_series(answerer, series, out, asked, progress)


def predict_series(
    answerer: Answerer,
    series: Sequence[Series],
    out: Path,
    asked: PredictionSettings,
    progress: Progress = iter,
) -> Finished:
    """The answers of a network that is open already."""
    classifying = answerer.trained.task == "classification"
    one = _classify if classifying else _draw
    rows: list[Row] = []
    votes: list[Row] = []
    failures = []
    for single in progress(series):
        try:
            told, voted = one(answerer, read_slices(single, asked.plane), out, asked)
            rows += told
            votes += voted
        except Exception as error:  # whatever befalls one series, the others are still wanted
            plain = isinstance(error, DelineateError)
            failures.append(
                f"{single.id}: {error if plain else f'{type(error).__name__}: {error}'}"
            )
    done = len(series) - len(failures)
    if classifying:
        chosen = (*SLICE, "class", "probability")
        outputs = len(rows[0]) - len(chosen) if rows else 0
        each = (f"p_{answerer.name_of(number)}" for number in range(outputs))
        _write(out / "predictions.csv", (*chosen, *each), rows)
        _write(out / "series.csv", ("series", "class", "votes", "slices", "probability"), votes)
    else:
        _write(out / "masks.csv", (*SLICE, "class", "pixels", "file"), rows)
    what = "a class each, in predictions.csv" if classifying else "masks"
    last = f"{done} of {len(series)} series, {_slices(rows)} slices: {what}."
    return Finished(lines=(*failures, last), folder=out, failed=len(failures))


SLICE = ("series", "slice", "name")


def _classify(
    answerer: Answerer, slices: Slices, out: Path, asked: PredictionSettings
) -> tuple[list[Row], list[Row]]:
    """A row for each slice, and one for the series."""
    del out, asked
    probabilities = answerer.classify(slices.pictures)
    rows: list[Row] = []
    for number, (name, found) in enumerate(zip(slices.names, probabilities, strict=True)):
        best = int(found.argmax())
        each = (f"{value:.6f}" for value in found)
        rows.append(
            (slices.series.id, number, name, answerer.name_of(best), f"{found[best]:.6f}", *each)
        )
    return rows, [_voted(slices, probabilities, answerer)]


def _voted(slices: Slices, probabilities: np.ndarray, answerer: Answerer) -> Row:
    """The class with most votes; of equals, the one that is more probable in the mean."""
    votes = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    means = probabilities.mean(0)
    first = int(np.lexsort((-means, -votes))[0])
    row = (answerer.name_of(first), int(votes[first]), len(probabilities), f"{means[first]:.6f}")
    return (slices.series.id, *row)


def _draw(
    answerer: Answerer, slices: Slices, out: Path, asked: PredictionSettings
) -> tuple[list[Row], list[Row]]:
    """A row for each slice and class; the masks are written."""
    masks, labels = [], None
    for probabilities in answerer.segment(slices.pictures):
        masks.append(threshold(probabilities, asked.confidence))
        labels = labels or labels_of(answerer.trained.classes, len(probabilities))
    assert labels is not None
    files = mask_files(slices, out, prefix="", nifti=asked.nifti)
    write_masks(slices, masks, files, labels=labels)
    each = files if len(files) == len(masks) else files * len(masks)
    rows: list[Row] = [
        (slices.series.id, number, name, leaf.name, int((mask == leaf.id).sum()), _below(file, out))
        for number, (name, mask, file) in enumerate(zip(slices.names, masks, each, strict=True))
        for leaf in labels.leaves
    ]
    return rows, []


def labels_of(classes: Sequence[str] | None, channels: int) -> Labels:
    """The classes of masks from networks with so many channels; background is a channel of many."""
    number = max(1, channels - 1)
    known = list(classes or ())
    # Some count the background among their classes.
    names = known[-number:] if len(known) >= number else []
    names = names or (["foreground"] if number == 1 else [f"class_{i + 1}" for i in range(number)])
    return Labels.from_names({name: i for i, name in enumerate(names, 1)})


def _below(file: Path, out: Path) -> str:
    return file.relative_to(out).as_posix()


def _slices(rows: Sequence[Row]) -> int:
    return len({tuple(row[:2]) for row in rows})


def _write(path: Path, columns: Row, rows: Iterable[Row]) -> None:
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
