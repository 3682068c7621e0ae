"""Whether the nuclei that were held out reach what the schema asks for: `validation_criteria`.

A nucleus is what holds nothing else: the brainstem is none, even where it has an id of its own.

- `dice_threshold`: the mean Dice of a nucleus.
- `minimum_volume_voxels`: a nucleus of fewer voxels is not judged in that scan.
- `anatomical_accuracy`: the mean distance between its surfaces, as "+-200 um" or in mm.
- `connectivity_validation`: no mask is in more pieces than the truth is.
"""

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from delineate.errors import DataError
from delineate.io import atomic_path, read_mask
from delineate.labels import Class, Labels
from delineate.metrics.table import read_table
from delineate.systems.brainstem.prepared import Prepared
from delineate.systems.brainstem.schema import Schema

__all__ = ["CRITERIA", "Criteria", "judge", "read_criteria", "write_verdicts"]

log = logging.getLogger("delineate")

CRITERIA = "validation_criteria.json"
_LENGTH = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(um|\u03bcm|\u00b5m|mm)")
_MM = {"mm": 1.0}
"""All other units are micrometres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What is asked for; None is not asked."""

    dice: float | None = None
    voxels: int = 0
    distance_mm: float | None = None
    connected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one nucleus reaches, over the scans in which it is large enough."""

    nucleus: str
    cases: int
    dice: float
    surface_mm: float | None
    """None where there is no mask."""
    pieces: int
    """Of all masks together, beyond those of the truth."""
    missed: tuple[str, ...]


def read_criteria(schema: Schema, where: Path) -> Criteria:
    """What a schema asks for; a value that cannot be is a DataError."""
    said = schema.rest.get("validation_criteria") or {}
    if not isinstance(said, Mapping):
        raise DataError(f"{where}: validation_criteria wants keys, got {said!r}.")
    dice = _number(said, "dice_threshold", where, most=1.0)
    voxels = _number(said, "minimum_volume_voxels", where)
    return Criteria(
        dice=dice,
        voxels=int(voxels or 0),
        distance_mm=_distance(said.get("anatomical_accuracy"), where),
        connected=said.get("connectivity_validation") is True,
    )


def judge(criteria: Criteria, prepared: Prepared, validation: Path) -> list[Verdict]:
    """Every nucleus that is large enough in a scan that was held out, by the run's own figures."""
    rows = {(row.case, row.label): row.values for row in read_table(validation / "table.csv").rows}
    figures: dict[str, list[tuple[float, float, int]]] = {}
    for case, predicted, truth in _held_out(prepared, validation):
        for leaf, found, true in _boxes(prepared.labels, predicted, truth):
            if true.sum() >= max(1, criteria.voxels):
                values = rows[case, leaf.name]
                more = max(0, _pieces(found) - _pieces(true)) if criteria.connected else 0
                figures.setdefault(leaf.name, []).append((values["dice"], values["assd_mm"], more))
    return [_verdict(criteria, name, seen) for name, seen in figures.items()]


def write_verdicts(
    criteria: Criteria, verdicts: Sequence[Verdict], labels: Labels, folder: Path
) -> None:
    """A JSON file with every nucleus, and a line of the log."""
    judged = {verdict.nucleus for verdict in verdicts}
    small = [leaf.name for leaf in _nuclei(labels) if leaf.name not in judged]
    content = {
        "asked": {name: getattr(criteria, name) for name in Criteria.__slots__},
        "nuclei": [{name: getattr(v, name) for name in Verdict.__slots__} for v in verdicts],
        "not_judged": small,
    }
    with atomic_path(folder / CRITERIA) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    if criteria == Criteria():
        log.info("the schema asks for no validation_criteria (%s)", folder / CRITERIA)
        return
    reached = sum(not verdict.missed for verdict in verdicts)
    parts = [f"{reached} of {len(verdicts)} nuclei reach the schema's validation_criteria"]
    for name in ("dice", "surface", "pieces"):
        count = sum(name in verdict.missed for verdict in verdicts)
        parts += [f"{count} miss its {name}"] if count else []
    if small:
        parts.append(f"{len(small)} are too small to be judged")
    log.info("%s (%s)", "; ".join(parts), folder / CRITERIA)


def _verdict(criteria: Criteria, nucleus: str, seen: Sequence[tuple[float, float, int]]) -> Verdict:
    dice, surface, more = zip(*seen, strict=True)
    mean_dice, pieces = float(np.mean(dice)), sum(more)
    mean_mm = None if np.isnan(surface).any() else float(np.mean(surface))
    near = criteria.distance_mm is None or (mean_mm is not None and mean_mm <= criteria.distance_mm)
    missed = {
        "dice": criteria.dice is not None and not mean_dice >= criteria.dice,
        "surface": not near,
        "pieces": pieces > 0,
    }
    return Verdict(
        nucleus=nucleus,
        cases=len(seen),
        dice=mean_dice,
        surface_mm=mean_mm,
        pieces=pieces,
        missed=tuple(name for name, is_missed in missed.items() if is_missed),
    )


def _held_out(prepared: Prepared, validation: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Case, mask and truth."""
    with prepared.table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] != "train"]
    for row in rows:
        predicted = read_mask(validation / f"{row['id']}.nii.gz").array[0]
        truth = read_mask(prepared.table.with_name(row["label"])).array[0]
        yield row["id"], predicted, truth


def _boxes(
    labels: Labels, predicted: np.ndarray, truth: np.ndarray
) -> Iterator[tuple[Class, np.ndarray, np.ndarray]]:
    """Each nucleus that is there, cut out of mask and truth."""
    from scipy.ndimage import find_objects

    in_predicted, in_truth = (
        dict(enumerate(find_objects(ids.astype(np.int32)), 1)) for ids in (predicted, truth)
    )
    for leaf in _nuclei(labels):
        number = leaf.id or 0
        found, true = in_predicted.get(number), in_truth.get(number)
        if true is None:
            continue
        whole = true if found is None else tuple(map(_hull, found, true))
        yield leaf, predicted[whole] == number, truth[whole] == number


def _nuclei(labels: Labels) -> list[Class]:
    parents = {c.parent for c in labels.classes}
    return [leaf for leaf in labels.leaves if leaf.name not in parents]


def _hull(one: slice, other: slice) -> slice:
    return slice(min(one.start, other.start), max(one.stop, other.stop))


def _pieces(mask: np.ndarray) -> int:
    """Voxels that touch, at a corner too, are one piece."""
    from scipy.ndimage import label

    count = label(mask, np.ones((3,) * mask.ndim), output=np.empty(mask.shape, np.int32))
    return int(cast(int, count))


def _number(
    said: Mapping[str, Any], key: str, where: Path, *, most: float = float("inf")
) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        limit = f"0 to {most:g}" if most < float("inf") else "0 or more"
        raise DataError(f"{where}: validation_criteria.{key} wants {limit}, got {value!r}.")
    return float(value)


def _distance(said: Any, where: Path) -> float | None:
    """In mm."""
    if said is None:
        return None
    if isinstance(said, int | float) and not isinstance(said, bool) and said >= 0:
        return float(said)
    found = _LENGTH.search(str(said))
    if found is None:
        raise DataError(
            f"{where}: validation_criteria.anatomical_accuracy wants a length such as "
            f"'200 um' or '0.2 mm', got {said!r}."
        )
    return float(found[1]) * _MM.get(found[2], 1e-3)
