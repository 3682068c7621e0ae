"""What a client gets back: the mask in the scan's own axes, and the volume of each class."""

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io import Volume, write_mask
from delineate.io.dicom_seg import check_series, write_dicom_seg
from delineate.labels import Labels
from delineate.serve.refusal import Refusal

__all__ = ["FORMATS", "Answer", "measure", "refuse_form", "write_answer"]

FORMATS = {
    "nii.gz": "application/gzip",
    "nii": "application/octet-stream",
    "nrrd": "application/octet-stream",
    "mha": "application/octet-stream",
    "h5": "application/x-hdf5",
    "png": "image/png",
    "tif": "image/tiff",
    "dcm": "application/dicom",
    "json": "application/json",
    "zip": "application/zip",
}
"""What can be asked for, and its media type: a mask, as DICOM-SEG where it is
'dcm'; 'json', the volumes alone; or 'zip', both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A mask on the disk, and what is said about it."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Plain data: volumes, warnings, seconds."""
    path: Path | None = None
    """None where only the facts were asked for."""
    media_type: str = FORMATS["json"]


def refuse_form(form: str, first: str, *, dims: int) -> None:
    """Refuse a format that cannot hold the mask, before it is predicted.

    Args:
        form: One of `FORMATS`, or empty.
        first: The first file of the scan.
        dims: Spatial axes of the model.
    """
    if form == "dcm":
        try:
            check_series(first)
        except DataError:
            raise Refusal(
                422,
                "a DICOM-SEG refers to the DICOM series that it was drawn on: this scan is none.",
                fix="Send the series as a zip, or ask for nii.gz.",
            ) from None
    if form == "png" and dims == 3:
        raise Refusal(422, "a PNG holds no volume.", fix="Ask for nii.gz, or tif.")


def write_answer(
    mask: Volume, facts: Mapping[str, Any], path: Path, *, labels: Labels, series: str
) -> Answer:
    """The answer, in the format that the suffix of its path asks for.

    Args:
        mask: In canonical axes.
        facts: What is said about it.
        path: Where the answer goes; its suffix is one of `FORMATS`.
        labels: What the mask means.
        series: The first file, or the folder, of the scan.
    """
    form = next(form for form in FORMATS if path.name.endswith(f".{form}"))
    if form == "json":
        return Answer(facts=facts)
    if form == "dcm":
        write_dicom_seg(path, mask.array, mask, labels=labels, series=series)
    elif form == "zip":
        _zip(path, mask, facts)
    else:
        write_mask(path, mask.array, mask)
    return Answer(facts=facts, path=path, media_type=FORMATS[form])


def measure(mask: Volume, labels: Labels) -> list[dict[str, Any]]:
    """Voxels and millilitres of every class, unions included; a picture has no millilitres."""
    voxel_ml = abs(float(np.linalg.det(mask.affine[:3, :3]))) / 1000
    members = [labels.members(c.name) for c in labels.classes]
    counts = _count_layers(mask.array, members) if labels.overlapping else None
    if counts is None:
        by_id = _count_ids(mask.array[0])
        own = [0] + [by_id[leaf.id or 0] for leaf in labels.leaves]
        counts = [sum(own[member] for member in group) for group in members]
    return [
        {
            "name": c.name,
            "id": c.id,
            "voxels": count,
            "ml": round(count * voxel_ml, 4) if len(mask.shape) == 3 else None,
        }
        for c, count in zip(labels.classes, counts, strict=True)
    ]


def _count_ids(mask: np.ndarray) -> Counter[int]:
    """How many voxels have each id: plane by plane, since counting widens what it counts."""
    counts: Counter[int] = Counter()
    for plane in mask:
        ids, numbers = np.unique_counts(plane)
        counts.update(dict(zip(ids.tolist(), numbers.tolist(), strict=True)))
    return counts


def _count_layers(layers: np.ndarray, members: Sequence[tuple[int, ...]]) -> list[int]:
    """How many voxels lie in at least one layer of each group."""
    return [
        sum(int(plane[list(group)].any(axis=0).sum()) for plane in layers.swapaxes(0, 1))
        for group in members
    ]


def _zip(path: Path, mask: Volume, facts: Mapping[str, Any]) -> None:
    inner = path.with_name("mask.nii.gz")
    write_mask(inner, mask.array, mask)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(inner, inner.name)
        archive.writestr("result.json", json.dumps(facts, indent=1))
    inner.unlink()
