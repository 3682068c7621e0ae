"""Transforms one after another: randomness from (seed, step, slot), every draw replayable."""

from collections.abc import Sequence as SequenceOf
from itertools import groupby
from math import ceil, floor, prod

import numpy as np
import torch

from delineate.augment.foreign import as_transform
from delineate.augment.spatial import Spatial
from delineate.augment.transform import (
    Draws,
    Frame,
    Geometric,
    Intensity,
    Transform,
    change_images,
)
from delineate.contracts import Batch

__all__ = ["Sequence"]

_MOST_ENLARGED = 1.3


class Sequence:
    """All geometry first, in one resampling to the patch; then the other transforms in their order.

    What happens to the sample in slot i depends on (seed, step, i) only, and where it is pasted
    into on the slot that it is pasted from: not on the rest of the batch, on workers, or on what
    was drawn before.

    Args:
        transforms: in the order of their application; several geometric ones compose in that order.
            Those of batchgeneratorsv2, MONAI, TorchIO and albumentations are taken as they are.
        patch: voxels that the network sees; batches may be larger, see `read_patch`.
    """

    def __init__(self, transforms: SequenceOf[object], *, patch: SequenceOf[int]) -> None:
        geometric: list[Geometric] = []
        rest: list[Transform] = []
        for transform in transforms:
            if isinstance(transform, Geometric):
                geometric.append(transform)
            else:
                rest.append(as_transform(transform))
        self.spatial = Spatial(geometric, patch=tuple(patch))
        self.rest = tuple(rest)

    @property
    def transforms(self) -> tuple[Geometric | Transform, ...]:
        """All of them, in the order of their application."""
        return (*self.spatial.transforms, *self.rest)

    def __call__(self, batch: Batch, *, seed: int) -> Batch:
        """The augmented batch at the patch's size; the one handed in stays as it was."""
        return self.apply(batch, self.draw(batch, seed=seed))

    def draw(self, batch: Batch, *, seed: int) -> list[Draws]:
        """Per transform (in the order of `self.transforms`), one draw or None a sample."""
        frame = self._frame(batch.image.shape[1], batch.spacing)
        of_samples = []
        for slot in range(len(batch.image)):
            bits = np.random.Philox(key=(seed, batch.step), counter=(0, 0, 0, slot))
            rng = np.random.Generator(bits)
            of_samples.append([t.draw(rng, frame) for t in self.transforms])
        return [list(draws) for draws in zip(*of_samples, strict=True)]

    @torch.no_grad()
    def apply(self, batch: Batch, draws: SequenceOf[Draws]) -> Batch:
        """The batch as these draws make it: a pure function."""
        geometric = len(self.spatial.transforms)
        batch = self.spatial.apply(batch, draws[:geometric])
        rest = zip(self.rest, draws[geometric:], strict=True)
        for is_intensity, run in groupby(rest, key=lambda pair: isinstance(pair[0], Intensity)):
            steps = list(run)
            if is_intensity:
                batch = change_images(batch, *zip(*steps, strict=True))
            else:
                for transform, own in steps:
                    batch = transform.apply(batch, own)
        return batch

    def read_patch(self, spacing: SequenceOf[float]) -> tuple[int, ...]:
        """How many voxels to read so that turned patches find tissue: at most 1.3 times the patch.

        The extra is even, so the patch sits in the exact middle.
        """
        frame = self._frame(1, tuple(spacing))
        reaches = [t.reach(frame) for t in self.spatial.transforms]
        read = []
        for axis, size in enumerate(frame.patch):
            wanted = ceil(size * (prod(r[axis] for r in reaches) - 1) / 2 - 1e-6)
            allowed = floor(size * (_MOST_ENLARGED - 1) / 2)
            read.append(size + 2 * min(wanted, allowed))
        return tuple(read)

    def _frame(self, channels: int, spacing: tuple[float, ...]) -> Frame:
        return Frame(channels=channels, patch=self.spatial.patch, spacing=spacing)
