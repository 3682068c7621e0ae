"""The parts of a tree as files that the engine reads: `prepared/cases.csv` and what it lists.

Written once; the same scans and settings find them again.
"""

import csv
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.groundwork import Bars, refuse_faults
from delineate.io import Grid, Volume, atomic_path, read_header, write_image, write_mask
from delineate.labels import Labels
from delineate.systems.brainstem.classes import Classes
from delineate.systems.brainstem.morphogen import CHANNELS, WHOLE
from delineate.systems.brainstem.regions import describe_regions
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.tree import Tree
from delineate.systems.brainstem.volumes import Part, classes_of, parts_of

__all__ = ["Prepared", "prepare_tree"]

log = logging.getLogger("delineate")

PRIORS = "priors"
FOLDER, TABLE, LABELS, FACTS = "prepared", "cases.csv", "labels.json", "facts.json"
VERSION = 2
"""Raised by one whenever the same scans and settings give other files."""
DECIDING = ("input_channels", "num_classes", "patch_size", "validation_share", "morphogen")
"""Settings that change the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a training reads."""

    table: Path
    labels_file: Path
    labels: Labels
    training: int
    """Subjects, or one for the training side of one volume."""
    spacing: tuple[float, ...]
    """mm, the median along each axis."""
    shape: tuple[int, ...]
    """Of the largest scan."""
    subdivisions: tuple[str, ...]
    within: tuple[tuple[float, float], ...]
    """Where the training part lies in its volume, as shares of each axis."""


def prepare_tree(tree: Tree, config: TrainingConfig, output_dir: Path, *, bars: Bars) -> Prepared:
    """Write the parts, or find them; scans with faults that would spoil a training are a DataError.

    The log says how the volume was cut, or who is held out.
    """
    folder = output_dir / FOLDER
    wanted = _fingerprint(tree, config)
    if not _is_there(folder, wanted):
        refuse_faults(tree.dataset(), bars=bars)
        _write(tree, config, folder, wanted, bars=bars)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    for line in facts["lines"]:
        log.info(line)
    headers = [read_header(str(subject.image)) for subject in tree.subjects]
    spacings = zip(*(header.spacing for header in headers), strict=True)
    labels = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    return Prepared(
        table=folder / TABLE,
        labels_file=folder / LABELS,
        labels=Labels.from_json(labels),
        training=facts["training"],
        spacing=tuple(sorted(mm)[len(mm) // 2] for mm in spacings),
        shape=max((header.shape for header in headers), key=lambda shape: max(shape)),
        subdivisions=tuple(facts["subdivisions"]),
        within=tuple((low, high) for low, high in facts["within"]),
    )


def _write(tree: Tree, config: TrainingConfig, folder: Path, wanted: object, *, bars: Bars) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    classes = classes_of(tree, config)
    rows: list[dict[str, str]] = []
    within: Sequence[tuple[float, float]] = WHOLE
    lines = [f"{len(classes.labels.leaves)} classes: {_listed(classes)}"]
    count = 2 if len(tree.subjects) == 1 else len(tree.subjects)
    for part in bars.track(parts_of(tree, config, classes), count, "normalising"):
        rows.append(_write_part(part, folder, scan_channels=config.input_channels))
        if part.regions is not None and part.split == "train":
            lines += describe_regions(part.regions, classes.labels)
            within = part.within
    training = [row for row in rows if row["split"] == "train"]
    if len(tree.subjects) > 1:
        held = ", ".join(row["id"] for row in rows if row["split"] != "train")
        some = f"{len(training)} subject{'s' * (len(training) > 1)}"
        lines.append(f"{some} to learn from; held out: {held}")
    with atomic_path(folder / TABLE) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    facts = {
        "wanted": wanted,
        "lines": lines,
        "training": len(training),
        "subdivisions": list(classes.parts),
        "within": within,
    }
    # The last one: where it is there, all are.
    for name, data in ((LABELS, classes.labels.to_json()), (FACTS, facts)):
        with atomic_path(folder / name) as path:
            path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def _write_part(part: Part, folder: Path, *, scan_channels: int) -> dict[str, str]:
    # The canonical grid: nothing is to be turned back.
    like = Volume(array=part.image.array, affine=part.image.affine, source=_own_grid(part.image))
    mask = folder / f"{part.id}_labels.nii.gz"
    write_mask(mask, part.mask, like)
    scan, gradients = np.split(part.image.array, [scan_channels])
    # One file for each channel, as a table wants them.
    images = [(f"{part.id}_{number}.nii", one[None]) for number, one in enumerate(scan)]
    # The gradients of all subjects are alike, which the doctor knows of this folder.
    named = zip(CHANNELS, gradients, strict=False)
    images += [(f"{PRIORS}/{part.id}_{name}.nii", one[None]) for name, one in named]
    for name, array in images:
        (folder / name).parent.mkdir(exist_ok=True)
        write_image(folder / name, array, like)
    return {
        "id": part.id,
        **{f"image_{number}": name for number, (name, _) in enumerate(images)},
        "label": mask.name,
        "split": part.split,
        # The two sides of one volume are two groups: their voxels are apart.
        "group": part.id,
    }


def _own_grid(volume: Volume) -> Grid:
    return Grid(shape=volume.shape, affine=volume.affine)


def _fingerprint(tree: Tree, config: TrainingConfig) -> dict[str, object]:
    """What the files depend on, as JSON has it."""
    settings = {name: getattr(config, name) for name in DECIDING}
    files = [path for subject in tree.subjects for path in (subject.image, subject.mask)]
    stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    wanted = {
        "version": VERSION,
        "settings": settings,
        "files": stamps,
        "schema": repr(tree.schema),
        "names": sorted(tree.names.items()),
    }
    return json.loads(json.dumps(wanted))


def _is_there(folder: Path, wanted: object) -> bool:
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("wanted") == wanted


def _listed(classes: Classes) -> str:
    names = [leaf.name for leaf in classes.labels.leaves]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
