"""What a loader hands over, as tensors: images, ids, voxel sizes and the names of the cases."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from delineate.errors import DataError
from delineate.io.volume import spacing_of
from delineate.labels import IGNORE

__all__ = ["LabelledBatch", "as_slices", "check_labels", "read_batch", "read_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledBatch:
    """Cases that go through the network together."""

    image: Tensor
    """(b, c, *s)"""
    target: Tensor
    """(b, *s) int64 ids, below 0 where ignored."""
    spacing: tuple[tuple[float, ...], ...] | None
    """mm along each axis, of each case; None where no affine is known."""
    ids: tuple[str, ...]
    """Of the cases; where the loader has none, what tells their voxels from others."""


def read_batch(batch: Any) -> LabelledBatch:
    """Either `{"image": {"data", "affine"}, "label": {"data"}, "id"}` or a pair (image, label).

    Anything else, or a label that is not on its image's grid, is a DataError.
    """
    image, label = read_image(batch), _part(batch, "label", 1)
    if label.dim() == image.dim():
        label = label[:, 0]
    if label.shape != (image.shape[0], *image.shape[2:]):
        raise DataError(
            f"a batch has images of {tuple(image.shape)} and labels of {tuple(label.shape)}. "
            "Fix: images (b, c, *s) with labels (b, 1, *s) or (b, *s)."
        )
    target = label.round().long() if label.is_floating_point() else label.long()
    return LabelledBatch(
        image=image, target=target, spacing=_spacing(batch, image), ids=_ids(batch, image, target)
    )


def read_image(batch: Any) -> Tensor:
    """The images (b, c, *s) of a batch, or of a tensor that is nothing else."""
    image = batch if isinstance(batch, Tensor) else _part(batch, "image", 0)
    if image.dim() not in (4, 5):
        raise DataError(
            f"a batch has images of {tuple(image.shape)}. Fix: (b, c, *s) in 2 or 3 dimensions."
        )
    return image if image.is_floating_point() else image.float()


def check_labels(target: Tensor, classes: int) -> None:
    """Raise a DataError where an id has no class."""
    low, high = int(target.min()), int(target.max())
    if high >= classes or low < IGNORE:
        raise DataError(
            f"a label holds the id {high if high >= classes else low}, but num_classes is "
            f"{classes}: 0 to {classes - 1}. Fix: give num_classes of the data, or a target_label."
        )


def as_slices(cases: LabelledBatch, axis: int | None) -> LabelledBatch:
    """Volumes that are one slice, as the slices that a 2-D network takes."""
    if axis is None or cases.image.dim() < 5 or cases.image.shape[2 + axis] != 1:
        return cases
    spacing = cases.spacing
    return replace(
        cases,
        image=cases.image.squeeze(2 + axis),
        target=cases.target.squeeze(1 + axis),
        spacing=spacing and tuple(mm[:axis] + mm[axis + 1 :] for mm in spacing),
    )


def _part(batch: Any, name: str, place: int) -> Tensor:
    found: Any = None
    if isinstance(batch, Mapping):
        found = batch.get(name)
        found = found.get("data") if isinstance(found, Mapping) else found
    elif isinstance(batch, Sequence) and len(batch) > place:
        found = batch[place]
    if not isinstance(found, Tensor):
        raise DataError(
            f"a batch has no '{name}'. Fix: a loader of "
            '{"image": {"data": ...}, "label": {"data": ...}} or of pairs (image, label).'
        )
    return found


def _spacing(batch: Any, image: Tensor) -> tuple[tuple[float, ...], ...] | None:
    entry = batch.get("image") if isinstance(batch, Mapping) else None
    affine = entry.get("affine") if isinstance(entry, Mapping) else None
    if affine is None:
        return None
    matrices = torch.as_tensor(affine).double().cpu().reshape(-1, 4, 4)
    if len(matrices) != len(image):
        raise DataError(f"a batch has {len(image)} images and {len(matrices)} affines.")
    return tuple(spacing_of(matrix.numpy(), image.dim() - 2) for matrix in matrices)


def _ids(batch: Any, image: Tensor, target: Tensor) -> tuple[str, ...]:
    found = batch.get("id") if isinstance(batch, Mapping) else None
    if found is None:
        return tuple(_digest(i, t) for i, t in zip(image, target, strict=True))
    ids = tuple(map(str, found))
    if len(ids) != len(image):
        raise DataError(f"a batch has {len(image)} images and {len(ids)} ids.")
    return ids


def _digest(image: Tensor, target: Tensor) -> str:
    """The same for the same case, wherever it comes again."""
    mark = hashlib.blake2b(digest_size=16)
    for tensor in (image, target):
        mark.update(tensor.detach().cpu().numpy().tobytes())
    return mark.hexdigest()
