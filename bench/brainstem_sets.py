"""The two sets of brainstem_ablation.py: drawn brainstems, and bent copies of a real atlas.

A set is a folder with cases.csv, the same with prior channels as cases_priors.csv, labels.json, and
levels.json: the names of the classes at each level of the hierarchy, finest first.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from delineate.datasets.canvas import Drawing, Subject, draw_canvas, rician, smooth_noise
from delineate.datasets.write_layout import write_folders
from delineate.io import read_mask, read_volume, write_image
from delineate.labels import Class, Labels, find_pairs

__all__ = ["Subjects", "add_priors", "atlas_copies", "brainstems", "write_set"]

SEED = 2
TEMPLATE = "MNI152NLin6_res-2x2x2_T1w.nii.gz"
PARCELLATION = "Tian_Subcortex_S{}_3T"
MARGIN = 7
"""Voxels that are kept around the parcels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """Cases of one grid, and what their labels mean."""

    drawings: Iterator[Drawing]
    labels: Labels
    levels: Mapping[str, tuple[str, ...]]


def brainstems(shape: tuple[int, ...]) -> Subjects:
    """Endless phantoms of `delineate synth brainstem`."""
    from delineate.datasets.brainstem_atlas import ATLAS, RANGES, atlas_labels
    from delineate.datasets.phantom_brainstem import draw_brainstem

    def drawn() -> Iterator[Drawing]:
        i = 0
        while True:
            yield draw_brainstem(np.random.default_rng((SEED, i)), shape)
            i += 1

    levels = {
        "nuclei": tuple(n.name for n in ATLAS),
        "subdivisions": tuple(RANGES),
        "brainstem": ("brainstem",),
    }
    return Subjects(drawings=drawn(), labels=atlas_labels(), levels=levels)


def atlas_copies(folder: Path) -> Subjects:
    """Endless copies of the template and its four parcellations, each bent and re-contrasted."""
    masks = [read_mask(folder / f"{PARCELLATION.format(i)}.nii.gz").array[0] for i in range(1, 5)]
    names = [
        (folder / f"{PARCELLATION.format(i)}_label.txt").read_text(encoding="utf-8").split()
        for i in range(1, 5)
    ]
    labels, levels = _nested(masks, names)
    box = tuple(
        slice(int(axis.min()) - MARGIN, int(axis.max()) + 1 + MARGIN)
        for axis in np.nonzero(masks[-1])
    )
    template = read_volume(folder / TEMPLATE).array[0][box].astype(np.float32)
    copies = _copies(template / np.percentile(template, 99), masks[-1][box])
    return Subjects(drawings=copies, labels=labels, levels=levels)


def _nested(masks: list[np.ndarray], names: list[list[str]]) -> tuple[Labels, dict]:
    """Regions of the finest level have the ids; a region that is not divided further is one class.

    Names return at other levels for other regions, so a class is called after its level too.
    """
    sets: dict[frozenset[int], str] = {}
    levels: dict[str, tuple[str, ...]] = {}
    parents: dict[str, str] = {}
    for depth, (mask, said) in enumerate(zip(masks, names, strict=True), 1):
        here = []
        for number, name in enumerate(said, 1):
            leaves = frozenset(np.unique(masks[-1][mask == number]).tolist())
            above = [known for known in sets if leaves < known]
            sets.setdefault(leaves, f"S{depth}_{name}")
            here.append(sets[leaves])
            if above:
                parents.setdefault(sets[leaves], sets[min(above, key=len)])
        levels[f"S{depth}"] = tuple(here)
    classes = [
        Class(name=n, id=next(iter(s)) if len(s) == 1 else None, parent=parents.get(n))
        for s, n in sets.items()
    ]
    # Channels in the order of the ids.
    classes.sort(key=lambda c: c.id or 0)
    pairs = find_pairs(c.name for c in classes)
    return Labels(classes=tuple(classes), pairs=pairs), dict(reversed(levels.items()))


def _copies(template: np.ndarray, mask: np.ndarray) -> Iterator[Drawing]:
    from scipy.ndimage import map_coordinates

    middle = (np.array(mask.shape) - 1).reshape(-1, 1, 1, 1) / 2
    view = [2.0 * n for n in mask.shape]
    i = 0
    while True:
        rng = np.random.default_rng((SEED, i))
        places = draw_canvas(rng, mask.shape, view_mm=view, warp_mm=3.0).points / 2 + middle
        image = map_coordinates(template, places, order=1, mode="nearest")
        bent = map_coordinates(mask, places, order=0, mode="constant")
        image = np.clip(image, 0, None) ** rng.uniform(0.6, 1.6)
        image *= np.exp(rng.uniform(0.05, 0.2) * smooth_noise(rng, mask.shape, knots=2))
        image = 200 * rician(rng, image, rng.uniform(0.02, 0.06))
        yield Drawing(image=image[None].astype(np.float32), mask=bent, spacing=(2.0,) * 3)
        i += 1


def write_set(subjects: Subjects, out: Path, *, train: int, test: int) -> None:
    """The first ones teach, those behind them are held out."""
    cases = list(islice(subjects.drawings, train + test))
    shape = cases[0].mask.shape
    subject = Subject(channels=("MR",), labels=subjects.labels, shape=shape)
    write_folders(out, subject, ((f"{i:03d}", drawing) for i, drawing in enumerate(cases)))
    rows = [
        {
            "id": f"{i:03d}",
            "image_0": f"images/{i:03d}.nii.gz",
            "label": f"masks/{i:03d}.nii.gz",
            "split": "train" if i < train else "validation",
        }
        for i in range(train + test)
    ]
    _write_rows(out / "cases.csv", rows)
    for name, facts in (("labels", subjects.labels.to_json()), ("levels", dict(subjects.levels))):
        (out / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")


def add_priors(out: Path) -> None:
    """Gradients along each axis as three more channels: the same for all, as the grid is."""
    from delineate.systems.brainstem import morphogen

    with (out / "cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scan = read_volume(out / rows[0]["image_0"])
    for i, field in enumerate(morphogen.fields(scan.shape, seed=SEED), 1):
        write_image(out / "priors" / f"{i}.nii.gz", field[None], like=scan)
    more = {f"image_{i}": f"priors/{i}.nii.gz" for i in (1, 2, 3)}
    _write_rows(out / "cases_priors.csv", [{**row, **more} for row in rows])


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
