"""Samples as the tensors that a network takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from delineate.errors import DataError
from delineate.systems.spine.samples.label_steps import Classes
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.sample import Sample, is_mask

__all__ = ["SliceBatch", "as_batch", "as_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceBatch:
    """Slices that go through the network together."""

    image: Tensor
    """(b, c, h, w) float32"""
    label: Tensor | None
    """Masks (b, 1, h, w) 0/1, or one-hot classes (b, k), float32; None where nothing is known."""
    slices: tuple[Slice, ...]

    def to(self, *where: Any, **how: Any) -> "SliceBatch":
        """The same on a device, as `Tensor.to` takes it."""
        label = None if self.label is None else self.label.to(*where, **how)
        return replace(self, image=self.image.to(*where, **how), label=label)

    def pin_memory(self) -> "SliceBatch":
        """The same in memory that a card reads by itself."""
        label = None if self.label is None else self.label.pin_memory()
        return replace(self, image=self.image.pin_memory(), label=label)

    def __len__(self) -> int:
        return len(self.slices)


def as_batch(samples: Sequence[Sample], classes: Classes | None) -> SliceBatch:
    """One batch; pictures of different size or number of channels are a DataError.

    Args:
        samples: All with masks, or all with classes.
        classes: Make one-hot vectors of classes that are none yet; None for masks.
    """
    first = samples[0].image.shape
    for sample in samples:
        if sample.image.shape != first:
            raise DataError(_unequal(samples[0], sample))
    image = _empty((len(samples), *_channels_first(first)), torch.float32)
    for place, sample in zip(image.numpy(), samples, strict=True):
        place[...] = sample.image if sample.image.ndim == 2 else np.moveaxis(sample.image, -1, 0)
    return SliceBatch(
        image=image,
        label=_labels(samples, classes),
        slices=tuple(sample.item for sample in samples if sample.item is not None),
    )


def as_image(array: np.ndarray) -> Tensor:
    """(1, c, h, w) float32 of (rows, columns[, channels])."""
    deep = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return torch.from_numpy(np.array(deep, np.float32, order="C"))[None]


def _labels(samples: Sequence[Sample], classes: Classes | None) -> Tensor | None:
    if any(sample.label is None for sample in samples):
        return None
    if is_mask(samples[0].label):
        label = _empty((len(samples), 1, *samples[0].label.shape), torch.float32)
        for place, sample in zip(label.numpy(), samples, strict=True):
            place[...] = sample.label
        return label
    if classes is None:
        return None
    return torch.from_numpy(np.stack([classes.vector(sample.label) for sample in samples]))


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if len(shape) == 2 else (shape[2], *shape[:2])


def _empty(shape: tuple[int, ...], kind: torch.dtype) -> Tensor:
    """Room for a batch; in a reading process where the training sees it without a copy."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=kind)
    return torch.empty(shape, dtype=kind).share_memory_()


def _unequal(one: Sample, other: Sample) -> str:
    names = [s.item.input_path if s.item is not None else "a picture" for s in (one, other)]
    sizes = ["x".join(map(str, s.image.shape)) for s in (one, other)]
    fix = "end with alb.Resize, for every phase and on [data, label]"
    if one.image.shape[:2] == other.image.shape[:2]:
        fix = "have to_gray among the steps, since some files are in colour and others grey"
    return (
        f"after the steps {names[0]} is {sizes[0]} and {names[1]} is {sizes[1]}: they fit into no "
        f"batch. Fix: {fix}."
    )
