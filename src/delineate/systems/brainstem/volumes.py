"""The volumes of a tree as the network sees them: normalised as a whole, then cut into two parts.

Mean and deviation are those of the whole scan. So a voxel has the same value in training, in
validation and in a prediction of the scan, whatever part of it is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from delineate.data.preprocess import normalise
from delineate.errors import ConfigError, DataError
from delineate.geometry import Box, slices
from delineate.io import Grid, Volume, read_header, read_mask, read_volume
from delineate.plan import Normalisation
from delineate.systems.brainstem.classes import Classes, choose_classes
from delineate.systems.brainstem.morphogen import CHANNELS, WHOLE, fields
from delineate.systems.brainstem.regions import Regions, split_volume
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.tree import Subject, Tree

__all__ = [
    "Part",
    "add_gradients",
    "channel_names",
    "classes_of",
    "normalisation",
    "parts_of",
    "read_whole",
    "with_morphogens",
]

TRAINING, VALIDATION = "train", "validation"
ORDER_SEED = 0
"""Who is held out does not change with the seed of a training: runs stay comparable."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What one sample of the data set is cut from: a subject, or one side of its volume."""

    id: str
    subject: str
    split: str
    """'train' or 'validation'."""
    image: Volume
    """(c, *s) float32, normalised."""
    mask: np.ndarray
    """(*s) ids of the classes."""
    regions: Regions | None = None
    """How the volume was cut, if it was."""
    within: tuple[tuple[float, float], ...] = WHOLE
    """Where it lies in its volume, as shares of each axis."""


def channel_names(config: TrainingConfig) -> tuple[str, ...]:
    """Of what the network sees."""
    scans = ("T2w",) if config.input_channels == 1 else _numbered(config.input_channels)
    return (*scans, *(CHANNELS if config.morphogen == "channels" else ()))


def normalisation(config: TrainingConfig) -> tuple[Normalisation, ...]:
    """How a whole scan is brought near zero; the gradients are between 0 and 1 already."""
    zscore, none = Normalisation(kind="zscore"), Normalisation(kind="none")
    return (zscore,) * config.input_channels + (none,) * (config.channels - config.input_channels)


def classes_of(tree: Tree, config: TrainingConfig) -> Classes:
    """The classes that the masks of all subjects give."""
    found = {int(i) for subject in tree.subjects for i in np.unique(_read_ids(subject))} - {0}
    return choose_classes(tree.schema, config.num_classes, found=found, names=tree.names)


def parts_of(tree: Tree, config: TrainingConfig, classes: Classes) -> Iterator[Part]:
    """Every part, one subject in memory at a time.

    Whole subjects are held out where there are several, else one side of the only one.
    """
    held = _held_out(tree.subjects, config.validation_share)
    for subject in tree.subjects:
        image, mask = read_whole(subject, config), classes.keep(_read_ids(subject))
        if len(tree.subjects) > 1:
            split = VALIDATION if subject.id in held else TRAINING
            yield Part(id=subject.id, subject=subject.id, split=split, image=image, mask=mask)
            continue
        regions = split_volume(
            classes.labels.encode(mask),
            classes.labels,
            share=config.validation_share,
            patch=config.patch_size,
        )
        for split, box in ((TRAINING, regions.training), (VALIDATION, regions.validation)):
            yield Part(
                id=f"{subject.id}_{split}",
                subject=subject.id,
                split=split,
                image=_cut(image, box),
                mask=mask[slices(box)],
                regions=regions,
                within=_shares(box, mask.shape),
            )


def read_whole(subject: Subject, config: TrainingConfig) -> Volume:
    """The whole scan, normalised, with the gradients as further channels where they are asked for.

    A mask of another shape is a DataError, a scan of other channels a ConfigError.
    """
    header = read_header(str(subject.image))
    if header.channels != config.input_channels:
        raise ConfigError(
            f"{subject.image} has {header.channels} channels but input_channels is "
            f"{config.input_channels}. Fix: TrainingConfig(input_channels={header.channels})."
        )
    if len(header.shape) != 3:
        raise DataError(f"{subject.image} is a picture. Fix: give volumes.")
    shape = read_header(str(subject.mask)).shape
    if shape != header.shape:
        raise DataError(
            f"{subject.mask} has {shape} voxels, {subject.image.name} {header.shape}. "
            "Fix: labels on the grid of their scan."
        )
    volume = with_morphogens(read_volume(str(subject.image)), config)
    array = normalise(volume.array, normalisation(config))
    return Volume(array=array, affine=volume.affine, source=volume.source)


def with_morphogens(volume: Volume, config: TrainingConfig) -> Volume:
    """The scan with its gradients behind its own channels, where they are asked for."""
    return add_gradients(volume) if config.morphogen == "channels" else volume


def add_gradients(volume: Volume) -> Volume:
    """The scan with AP, DV and ML of its grid as further channels.

    Their noise follows from the voxels: it is the same whenever the scan is looked at, and another
    one in every other scan.
    """
    array = np.ascontiguousarray(volume.array, np.float32)
    array = np.concatenate([array, fields(volume.shape, crc32(array.data))])
    return Volume(array=array, affine=volume.affine, source=volume.source)


def _read_ids(subject: Subject) -> np.ndarray:
    return read_mask(str(subject.mask)).array[0]


def _held_out(subjects: Sequence[Subject], share: float) -> set[str]:
    """At least one of several, and not all."""
    count = len(subjects)
    if count == 1:
        return set()
    held = min(count - 1, max(1, round(share * count)))
    order = np.random.default_rng(ORDER_SEED).permutation(count)
    return {subjects[i].id for i in order[:held]}


def _cut(volume: Volume, box: Box) -> Volume:
    """A part of a volume, where it lies in space."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [start for start, _ in box]
    array = volume.array[(slice(None), *slices(box))]
    return Volume(array=array, affine=affine, source=Grid(shape=array.shape[1:], affine=affine))


def _shares(box: Box, shape: Sequence[int]) -> tuple[tuple[float, float], ...]:
    """Of its first and its last voxel, where the volume has 0 and 1."""
    ends = zip(box, (max(1, n - 1) for n in shape), strict=True)
    return tuple((start / last, (stop - 1) / last) for (start, stop), last in ends)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"channel_{i}" for i in range(1, count + 1))
