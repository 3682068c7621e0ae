"""A picture as a network is shown it, and the way back onto its own pixels.

The steps of phase test are applied, those on batches as well, without those on labels. Those that
move pixels are applied to two ramps, too, which tell where each pixel came from; an affine fitted
to them is the way back. A step of one's own that changes the size counts as one that resizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.augment.conventions import seeded
from delineate.errors import ConfigError
from delineate.systems.spine.samples.batch import as_image
from delineate.systems.spine.samples.batch_steps import Whole, build_batch_steps
from delineate.systems.spine.samples.steps import Setting, build_steps
from delineate.systems.spine.schema.entries import Step
from delineate.systems.spine.schema.own_files import own_folders
from delineate.systems.spine.schema.settings import Experiment
from delineate.systems.spine.slices.sample import Sample, Work

__all__ = ["PreparedImage", "prepare_image"]

BENT = 1.0
"""Pixels by which a step may lay a pixel off a straight grid."""
ROUNDS = 4
"""Fits, each without the pixels that the one before laid far off: padding is no part of it."""
LEAST = 0.25
"""Share of the pixels that must lie on the grid."""
POINTS = 48
"""Along each axis, at which the grid is fitted."""
OF_LABELS = ("label_encoding", "lesion_aug", "load_segmentation_label", "one_hot_encoding")
"""Steps that have nothing to do where no label is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """What goes into the network."""

    image: Tensor
    """(1, c, h, w) float32"""
    size: tuple[int, int]
    """Rows and columns of the picture that it was made of."""
    source: np.ndarray
    """(2, 3): row and column in that picture of (row, column, 1) in the image."""

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Values (k, h, w) on the pixels of the picture, bilinear; 0 where the image has none."""
        shape = tuple(self.image.shape[2:])
        if values.shape[1:] != shape:
            raise ValueError(f"values of {values.shape[1:]} for an image of {shape}")
        inverse = np.linalg.inv(np.vstack([self.source, [0, 0, 1]]))[:2]
        rows, columns = np.meshgrid(*map(np.arange, self.size), indexing="ij")
        places = inverse @ np.stack([rows.ravel(), columns.ravel(), np.ones(rows.size)])
        # grid_sample wants x before y, from -1 to 1 between the outer edges of the pixels.
        scaled = [(2 * p + 1) / n - 1 for p, n in zip(places, shape, strict=True)]
        grid = torch.from_numpy(np.stack(scaled[::-1], axis=-1)).float()
        inside = (grid.abs() <= 1).all(dim=-1).reshape(self.size)
        found = F.grid_sample(
            torch.from_numpy(np.array(values, np.float32, order="C"))[None],
            grid.reshape(1, *self.size, 2),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        return (found[0] * inside).numpy()


def prepare_image(experiment: Experiment, picture: np.ndarray) -> PreparedImage:
    """The picture after the steps of phase test.

    Args:
        experiment: Whose steps.
        picture: (rows, columns) or (rows, columns, 3), as its driver reads it.
    """
    folders = own_folders(experiment.directory.model, Path.cwd())
    data = experiment.data
    works = _works(_Steps(data.preprocess), _Steps(data.batch_preprocess), folders)
    size = (picture.shape[0], picture.shape[1])
    sample = Sample(image=picture, label=None, item=None, size=size)
    ramps = replace(sample, image=_ramps(size))
    for place, work in enumerate(works):
        if work.moves:
            ramps = _apply(work, ramps, place)
        sample = _apply(work, sample, place)
        if ramps.image.shape[:2] != sample.image.shape[:2]:
            ramps = replace(ramps, image=_resized(ramps.image, sample.image.shape[:2]))
    return PreparedImage(image=as_image(sample.image), size=size, source=_affine(ramps.image))


_BENT = (
    "data.preprocess: the steps of phase test bend pictures, so masks cannot be put back onto "
    "them. Fix: phase: [train] for steps that vary the training."
)


class _Steps:
    """Steps that are known by what they say."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self._text = repr(self.steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Steps) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@lru_cache(maxsize=8)
def _works(steps: _Steps, of_batch: _Steps, folders: tuple[Path, ...]) -> tuple[Work, ...]:
    """The steps, built once for all pictures."""
    setting = Setting(phase="test", task=None, folders=folders)
    wanted = [step for step in steps.steps if step.name not in OF_LABELS]
    works = build_steps(wanted, setting, remarks=False)
    return (*works, *map(_alone, build_batch_steps(of_batch.steps, setting)))


def _alone(step: Work | Whole) -> Work:
    """A step on a batch, which is this picture alone."""
    if isinstance(step, Work):
        return step
    call, target = step

    def apply(sample: Sample, _: np.random.Generator) -> Sample:
        if "data" not in target:
            return sample
        found = torch.as_tensor(call(as_image(sample.image)))[0].movedim(0, -1).numpy()
        return replace(sample, image=found[..., 0] if found.shape[-1] == 1 else found)

    return Work(name=type(call).__name__, apply=apply)


def _apply(work: Work, sample: Sample, place: int) -> Sample:
    """With a chance that is the same for every picture, and for the ramps."""
    with seeded(place):
        return work.apply(sample, np.random.default_rng(place))


def _ramps(size: tuple[int, int]) -> np.ndarray:
    """(rows, columns, 3): row, column, and 1 where there is a pixel at all."""
    rows, columns = np.meshgrid(*map(np.arange, size), indexing="ij")
    return np.stack([rows, columns, np.ones(size)], axis=-1).astype(np.float32)


def _resized(array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    tensor = torch.from_numpy(np.moveaxis(array, -1, 0).copy())[None]
    found = F.interpolate(tensor, size, mode="bilinear")[0]
    return np.moveaxis(found.numpy(), 0, -1)


def _affine(ramps: np.ndarray) -> np.ndarray:
    """(2, 3) from places in the image to where they came from."""
    every = [np.unique(np.linspace(0, n - 1, POINTS).round().astype(int)) for n in ramps.shape[:2]]
    rows, columns = (axis.ravel() for axis in np.meshgrid(*every, indexing="ij"))
    found = ramps[rows, columns]
    whole = np.abs(found[:, 2] - 1) < 1e-3
    places = np.stack([rows, columns, np.ones(len(rows))], axis=-1)[whole]
    origins = found[whole, :2].astype(np.float64)
    good = np.ones(len(places), bool)
    matrix, far, allowed = np.zeros((3, 2)), np.full(len(places), np.inf), BENT
    for _ in range(ROUNDS):
        if good.sum() < max(3, LEAST * len(good)):
            raise ConfigError(_BENT)
        matrix = np.linalg.lstsq(places[good], origins[good], rcond=None)[0]
        far = np.linalg.norm(places @ matrix - origins, axis=1)
        allowed = max(BENT, float(np.abs(matrix[:2]).sum(axis=0).max()))
        good = far <= max(allowed, float(np.median(far[good])))
    if not np.all(far[good] <= allowed):
        raise ConfigError(_BENT)
    return matrix.T
