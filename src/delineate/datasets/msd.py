"""The Medical Segmentation Decathlon: a dataset.json that lists pairs of image and label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.datasets.case import Case, Dataset
from delineate.datasets.declared import channel_names, declared_labels
from delineate.datasets.listing import read_json, read_object
from delineate.errors import DataError
from delineate.io import stem

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "dataset.json whose 'training' lists images that exist"


def recognise(root: Path) -> bool:
    """Whether dataset.json lists training pairs, and at least one of the images exists."""
    if not (root / "dataset.json").is_file():
        return False
    data = read_json(root / "dataset.json")
    listed = data.get("training") if isinstance(data, Mapping) else None
    if not isinstance(listed, list):
        return False
    images = [entry.get("image") for entry in listed if isinstance(entry, Mapping)]
    return any(isinstance(image, str) and (root / image).exists() for image in images)


def read(root: Path) -> Dataset:
    """The listed pairs, test images as split 'test'; files that begin with `._` are no cases."""
    where = str(root / "dataset.json")
    data = read_object(root / "dataset.json")
    cases: list[Case] = []
    orphans: list[str] = []
    for key, split in (("training", None), ("test", "test")):
        for entry in data.get(key, []):
            image, label = _paths(root, entry, where=f"{where}: '{key}'")
            if image.name.startswith("._"):
                continue
            if not image.exists():
                orphans += [str(image)] if label is None else [str(image), str(label)]
                continue
            name = stem(image)
            mask = str(label) if label is not None and label.exists() else None
            cases.append(Case(id=name, images=(str(image),), label=mask, group=name, split=split))
    return Dataset(
        root=root,
        layout="msd",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=channel_names(data.get("modality", {"0": "image"}), where=where),
        labels=declared_labels(data["labels"], where=where) if "labels" in data else None,
        orphans=tuple(orphans),
    )


def _paths(root: Path, entry: Any, *, where: str) -> tuple[Path, Path | None]:
    """Image and label of one entry; test entries are a path alone."""
    if isinstance(entry, str):
        return root / entry, None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str):
        raise DataError(
            f"{where} holds {entry!r}. Fix: give each entry an 'image' and a 'label' path."
        )
    return root / entry["image"], root / entry["label"] if entry.get("label") else None
