"""Drawn cases to files, in the layouts that `read_dataset` reads."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from delineate.datasets.canvas import Drawing, Subject
from delineate.datasets.declared import write_regions
from delineate.datasets.write_hdf5 import Sample, write_samples
from delineate.io import Grid, Volume, write_image, write_mask

__all__ = [
    "write_bids",
    "write_folders",
    "write_hdf5",
    "write_msd",
    "write_nnunet",
    "write_patients",
]

Cases = Iterable[tuple[str, Drawing]]

_CONTRASTS = {"T1": "T1w", "T2": "T2w", "CT": "ct"}
_SPLIT_OF_TEN = (
    ("train",) * 3 + ("val",) + ("train",) * 2 + ("test",) + ("train",) + ("val", "train")
)


def write_nnunet(out: Path, subject: Subject, cases: Cases) -> None:
    """imagesTr, labelsTr and dataset.json; a class with children becomes a region."""
    count, ending = 0, _ending(subject)
    for name, drawing in cases:
        count += 1
        _write_channels(out / "imagesTr", name, drawing, ending, always_numbered=True)
        _write_mask(out / "labelsTr" / f"{name}{ending}", drawing)
    labels = write_regions(subject.labels)
    # nnU-Net paints region after region, each with one id; a child paints over its parent.
    order = [ids[0] if isinstance(ids, list) else ids for ids in labels.values()][1:]
    has_regions = any(isinstance(ids, list) for ids in labels.values())
    _write_json(
        out / "dataset.json",
        {
            "channel_names": {str(i): name for i, name in enumerate(subject.channels)},
            "labels": labels,
            **({"regions_class_order": order} if has_regions else {}),
            "numTraining": count,
            "file_ending": ending,
        },
    )


def write_msd(out: Path, subject: Subject, cases: Cases) -> None:
    """imagesTr, labelsTr and a dataset.json that lists them; several channels make a 4-D image."""
    listed = []
    for name, drawing in cases:
        image, label = f"imagesTr/{name}.nii.gz", f"labelsTr/{name}.nii.gz"
        write_image(out / image, drawing.image, like=_volume(drawing))
        _write_mask(out / label, drawing)
        listed.append({"image": f"./{image}", "label": f"./{label}"})
    names = {str(c.id): c.name for c in subject.labels.leaves}
    _write_json(
        out / "dataset.json",
        {
            "name": out.name,
            "tensorImageSize": "4D" if len(subject.channels) > 1 else "3D",
            "modality": {str(i): name for i, name in enumerate(subject.channels)},
            "labels": {"0": "background", **names},
            "numTraining": len(listed),
            "numTest": 0,
            "training": listed,
            "test": [],
        },
    )


def write_bids(out: Path, subject: Subject, cases: Cases) -> None:
    """sub-*/anat with one file per contrast, and a mask of each in derivatives/labels."""
    kind = "lesion-manual" if subject.labels.names == ("lesion",) else "seg-manual"
    for number, (_, drawing) in enumerate(cases, 1):
        person = f"sub-{number:03d}"
        for channel, values in zip(subject.channels, drawing.image, strict=True):
            name = f"{person}_{_CONTRASTS.get(channel, channel)}"
            image = out / person / "anat" / f"{name}.nii.gz"
            write_image(image, values[None], like=_volume(drawing))
            folder = out / "derivatives" / "labels" / person / "anat"
            _write_mask(folder / f"{name}_{kind}.nii.gz", drawing)
    _write_json(
        out / "dataset_description.json",
        {"Name": "Synthetic volumes", "BIDSVersion": "1.9.0", "DatasetType": "raw"},
    )


def write_folders(out: Path, subject: Subject, cases: Cases) -> None:
    """images/ beside masks/ with equal names; channels are numbered _0000, _0001."""
    for name, drawing in cases:
        _write_channels(out / "images", name, drawing, _ending(subject), always_numbered=False)
        _write_mask(out / "masks" / f"{name}{_ending(subject)}", drawing)


def write_patients(out: Path, subject: Subject, cases: Cases) -> None:
    """NextBrain's tree: nextbrain/ with T2w.nii.gz and manual_segmentation.nii.gz, and the schema.

    Further subjects lie in nextbrain_001/ and so on.
    """
    leaves = subject.labels.leaves
    lines = ["0 background", *(f"{leaf.id} {leaf.name}" for leaf in leaves)]
    for number, (_, drawing) in enumerate(cases):
        folder = out / (f"nextbrain_{number:03d}" if number else "nextbrain")
        for channel, values in zip(subject.channels, drawing.image, strict=True):
            image = folder / f"{_CONTRASTS.get(channel, channel)}.nii.gz"
            write_image(image, values[None], like=_volume(drawing))
        _write_mask(folder / "manual_segmentation.nii.gz", drawing)
        (folder / "labels.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_json(out / "metadata" / "brainstem_labels_schema.json", dict(subject.about))


def write_hdf5(out: Path, subject: Subject, cases: Cases) -> None:
    """train.h5, val.h5 and test.h5 with metadata.json; seven, two and one of each ten cases."""
    samples = (
        Sample(
            split=_SPLIT_OF_TEN[i % 10],
            image=drawing.image,
            masks=drawing.mask,
            presence=drawing.presence or (),
            scenario=drawing.scenario,
        )
        for i, (_, drawing) in enumerate(cases)
    )
    write_samples(out, subject.labels.names, samples, about=subject.about)


def _write_channels(
    folder: Path, name: str, drawing: Drawing, ending: str, *, always_numbered: bool
) -> None:
    for i, values in enumerate(drawing.image):
        number = f"_{i:04d}" if always_numbered or len(drawing.image) > 1 else ""
        write_image(folder / f"{name}{number}{ending}", values[None], like=_volume(drawing))


def _write_mask(path: Path, drawing: Drawing) -> None:
    write_mask(path, drawing.mask, like=_volume(drawing))


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _ending(subject: Subject) -> str:
    return ".png" if len(subject.shape) == 2 else ".nii.gz"


def _volume(drawing: Drawing) -> Volume:
    """The grid of a case: pictures as they are, volumes stored LPS as most scanners do."""
    shape = drawing.image.shape[1:]
    if len(shape) == 2:
        grid = Grid(shape=shape, affine=np.eye(4))
        return Volume(array=drawing.image, affine=np.eye(4), source=grid)
    affine = np.diag([*drawing.spacing, 1.0])
    affine[:3, 3] = -np.array(drawing.spacing) * (np.array(shape) - 1) / 2
    stored = affine * np.array([[-1], [-1], [1], [1]])
    return Volume(array=drawing.image, affine=affine, source=Grid(shape=shape, affine=stored))
