"""Any layout to SADAAN's HDF5: one shape for all, a mask for each structure, presence, scenarios.

It stands in this room because it resamples as preprocessing does; the files are written by
`datasets.write_hdf5`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from delineate.data.every_case import Progress
from delineate.data.prepare import read_case
from delineate.data.resample import resample, resample_mask
from delineate.datasets import Case, Dataset
from delineate.datasets.new_folder import new_folder
from delineate.datasets.shares import USUAL, deal
from delineate.datasets.write_hdf5 import Sample, write_samples
from delineate.errors import DataError
from delineate.io import read_header, read_mask
from delineate.labels import Labels
from delineate.metrics.overlap import union
from delineate.plan import take_fingerprint

__all__ = ["convert_to_hdf5"]

_FILES = {"train": "train", "validation": "val", "test": "test"}
_STEP = 16
"""What each side is a multiple of in the shape that a message proposes."""


def convert_to_hdf5(
    dataset: Dataset,
    out: Path,
    *,
    shape: tuple[int, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write every labelled case into train.h5, val.h5 and test.h5; how many went into each.

    Axes become RAS+, as everywhere. Declared splits are kept; patients without one are dealt seven
    to two to one, or to the splits that are not declared. Voxels without a verdict become
    background. The folder `out` appears when all is done.

    Args:
        dataset: Volumes of any layout.
        out: A new or empty folder.
        shape: All cases are resampled to it, the field of view of each kept; None is their common
            shape, and a DataError where they have none.
        progress: Wraps the cases as they are written.
    """
    cases = [case for case in dataset.cases if case.label is not None]
    if not cases:
        raise DataError(f"{dataset.root}: no case has a mask, so there is nothing to convert.")
    common = _common_shape(cases, shape)
    labels = dataset.labels or take_fingerprint(dataset).labels
    splits = _splits(cases)
    about = {"dataset_info": f"{dataset.root.name}, converted from layout {dataset.layout}"}
    if dataset.channels != ("image",):
        about |= {"channel_names": list(dataset.channels)}
    tracked = progress(cases, len(cases), "convert") if progress else cases
    samples = (_sample(case, splits[case.id], labels, common) for case in tracked)
    with new_folder(out) as part:
        return write_samples(part, labels.names, samples, about=about)


def _common_shape(cases: Sequence[Case], wanted: tuple[int, ...] | None) -> tuple[int, ...]:
    shapes = {case.id: read_header(case.images[0]).shape for case in cases}
    dims = {len(found) for found in shapes.values()}
    if dims != {3} or (wanted is not None and (len(wanted) != 3 or min(wanted) < 1)):
        raise DataError(
            "convert: this form holds volumes, so each scan and the shape must have three sizes."
        )
    if wanted is not None or len(set(shapes.values())) == 1:
        return wanted or next(iter(shapes.values()))
    middle = np.median(list(shapes.values()), axis=0)
    proposed = ",".join(str(max(_STEP, round(size / _STEP) * _STEP)) for size in middle)
    first, other = (
        next(i for i in shapes if shapes[i] == s) for s in sorted(set(shapes.values()))[:2]
    )
    raise DataError(
        f"convert: the scans differ in shape, such as {first} with {_by(shapes[first])} and "
        f"{other} with {_by(shapes[other])}, but one file holds one shape. "
        f"Fix: name a shape for all, as in --shape {proposed}."
    )


def _splits(cases: Sequence[Case]) -> dict[str, str]:
    """The file of each case; cases of one patient without a declared split go together."""
    declared = {case.id: _FILES[case.split] for case in cases if case.split is not None}
    groups: dict[str, list[str]] = {}
    for case in cases:
        if case.id not in declared:
            groups.setdefault(case.group or case.id, []).append(case.id)
    left = {name: share for name, share in USUAL.items() if name not in declared.values()}
    # Cases without a word are training cases where validation and test are declared.
    shares = {"train": USUAL["train"], **left}
    total = sum(shares.values())
    dealt = deal(len(groups), {name: share / total for name, share in shares.items()})
    if len(dealt) > 1 and "val" in left and "val" not in dealt:
        dealt[-1] = "val"
    chosen = dict(zip(groups, dealt, strict=True))
    return declared | {case: chosen[name] for name, ids in groups.items() for case in ids}


def _sample(case: Case, split: str, labels: Labels, shape: tuple[int, ...]) -> Sample:
    volume = read_case(case)
    mask = read_mask(str(case.label))
    if mask.shape != volume.shape:
        raise DataError(
            f"{case.id}: the mask is {_by(mask.shape)} but the image is {_by(volume.shape)}. "
            "Masks must be on the image's grid. Fix: delineate doctor shows all such cases."
        )
    coded = labels.encode(mask.array if labels.overlapping else mask.array[0])
    coded = resample_mask(coded, shape)
    masks = np.stack([_layer(coded, labels, name) for name in labels.names])
    presence = case.presence
    if presence is None or len(presence) != len(masks):
        presence = tuple(int(layer.any()) for layer in masks)
    spacing = tuple(
        float(mm) * old / new
        for mm, old, new in zip(volume.spacing, volume.shape, shape, strict=True)
    )
    return Sample(
        split=split,
        image=resample(volume.array, shape),
        masks=masks,
        presence=presence,
        scenario=_scenario(dict(zip(labels.names, presence, strict=True))),
        spacing=spacing,
    )


def _layer(coded: np.ndarray, labels: Labels, name: str) -> np.ndarray:
    members = labels.members(name)
    return union(coded, members) if labels.overlapping else np.isin(coded, members)


def _scenario(presence: Mapping[str, int]) -> str:
    """What is absent, or what is present where that is shorter to say."""
    absent = [name for name, there in presence.items() if not there]
    present = [name for name, there in presence.items() if there]
    if not absent:
        return "complete"
    if not present:
        return "nothing"
    return (
        f"only {', '.join(present)}"
        if len(present) < len(absent)
        else f"without {', '.join(absent)}"
    )


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
