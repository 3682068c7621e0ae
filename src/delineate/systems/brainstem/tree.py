"""The documented folder: where the scans, their labels, the names and the schema lie.

    data_dir/nextbrain/T2w.nii.gz, manual_segmentation.nii.gz, labels.txt
    data_dir/metadata/brainstem_labels_schema.json

Several subjects lie in folders beside `nextbrain`, or in it; each has the pair of files.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from delineate.datasets import Case, Dataset
from delineate.errors import DataError
from delineate.systems.brainstem.classes import read_lookup
from delineate.systems.brainstem.schema import Schema
from delineate.systems.brainstem.schema_file import SHIPPED, read_schema

__all__ = ["Subject", "Tree", "read_tree"]

log = logging.getLogger("delineate")

IMAGE, MASK, LOOKUP = "T2w", "manual_segmentation", "labels.txt"
SUFFIXES = (".nii.gz", ".nii")
SCHEMA = Path("metadata", "brainstem_labels_schema.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One scan and its labels."""

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What a folder holds."""

    root: Path
    subjects: tuple[Subject, ...]
    """Sorted by id."""
    schema: Schema
    names: dict[int, str]
    """Of labels.txt, by id."""

    def dataset(self) -> Dataset:
        """The scans as they are, for the doctor."""
        cases = (Case(id=s.id, images=(str(s.image),), label=str(s.mask)) for s in self.subjects)
        return Dataset(root=self.root, layout="nextbrain", cases=tuple(cases), channels=(IMAGE,))


def read_tree(data_dir: str | Path) -> Tree:
    """What lies in the folder; half a pair, or none at all, is a DataError."""
    root = Path(data_dir).expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Fix: give the folder that holds nextbrain/.")
    places = sorted({p for p in (root, *root.glob("*/"), *root.glob("*/*/")) if p.is_dir()})
    pairs = [(place, pair) for place in places if (pair := _pair(place)) is not None]
    if not pairs:
        raise DataError(
            f"{root}: no folder in it has {IMAGE}.nii.gz and {MASK}.nii.gz. "
            f"Fix: put them into {root / 'nextbrain'}, or one pair into the folder of each subject."
        )
    subjects = [
        Subject(id="_".join(place.relative_to(root).parts) or root.name, image=image, mask=mask)
        for place, (image, mask) in pairs
    ]
    return Tree(
        root=root,
        subjects=tuple(sorted(subjects, key=lambda subject: subject.id)),
        schema=_schema(root),
        names=dict(_names([root, *(place for place, _ in pairs), *_above(pairs)])),
    )


def _pair(folder: Path) -> tuple[Path, Path] | None:
    image, mask = _find(folder, IMAGE), _find(folder, MASK)
    if image is None and mask is None:
        return None
    if image is None or mask is None:
        there, lacking = (image, MASK) if image else (mask, IMAGE)
        raise DataError(
            f"{there}: there is no {lacking}.nii.gz beside it. "
            "Fix: put it there, or move this one out of the folder of the training."
        )
    return image, mask


def _find(folder: Path, name: str) -> Path | None:
    found = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in found if path.is_file()), None)


def _schema(root: Path) -> Schema:
    path = root / SCHEMA
    if path.is_file():
        return read_schema(path)
    log.warning("%s is not there: the schema of 36 nuclei of delineate is taken", path)
    return read_schema(SHIPPED)


def _above(pairs: list[tuple[Path, tuple[Path, Path]]]) -> list[Path]:
    return list(dict.fromkeys(place.parent for place, _ in pairs))


def _names(folders: list[Path]) -> Iterator[tuple[int, str]]:
    """Of every labels.txt; the last one that names an id is taken."""
    for folder in dict.fromkeys(folders):
        if (folder / LOOKUP).is_file():
            yield from read_lookup(folder / LOOKUP).items()
