"""Batches of the preprocessed tree, for any training loop of PyTorch.

`shuffle` draws an order for each epoch, the same for one process and for several that share a batch
of the same size; Lightning tells the epoch, other loops need not.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from delineate.augment import Sequence as Changes
from delineate.data.epoch_order import Loader, Order
from delineate.errors import ConfigError, DataError
from delineate.systems.liver.augmentation import augmentation
from delineate.systems.liver.settings import PreprocessingConfig, read_settings
from delineate.systems.liver.subjects import SETTINGS, SPLITS, find_pairs
from delineate.systems.liver.volumes import Item, PreparedVolumes

__all__ = ["Loader", "Order", "get_dataloader"]

IGNORED = -1
"""The label of what is no part of a volume: the padding beside larger ones of a batch."""


def get_dataloader(
    data_dir: str | Path,
    split: str,
    batch_size: int | None = None,
    num_workers: int = 4,
    shuffle: bool = False,
    *,
    patch_size: Sequence[int] | None = None,
    seed: int = 42,
    augment: bool | None = None,
) -> Loader:
    """Batches of one split.

    A batch is `{"image": {"data": (b, 1, *s), "affine": (b, 4, 4)}, "label": {"data": (b, 1, *s)
    int64, "affine"}, "id": [...]}`. Volumes of different size are padded at their far ends to the
    largest of the batch: the image with its darkest value, the label with -1, which is to be
    ignored.

    Args:
        data_dir: The preprocessed tree: the folder with train, val and test.
        split: 'train', 'val' or 'test'.
        batch_size: Samples of a batch; None takes that of the preprocessing.
        num_workers: Processes that read; 0 reads in this one.
        shuffle: Whether every epoch has an order of its own.
        patch_size: Voxels of training samples; the volumes of 'val' and 'test' always come whole.
        seed: Of order, patches and augmentation.
        augment: None does with 'train' as preprocessing_config.json says, and nothing with others.
    """
    root = Path(data_dir)
    if batch_size is None:
        batch_size = _settings(root).batch_size
    if split not in SPLITS:
        raise ConfigError(f"split '{split}' is unknown. Fix: use {', '.join(SPLITS)}.")
    pairs = find_pairs(root / split)
    if not pairs:
        raise DataError(
            f"{root / split}: holds no <id>_image.nii.gz. "
            "Fix: give the folder that the preprocessing has written."
        )
    for pair in pairs:
        if pair.label is None:
            raise DataError(f"{pair.image}: has no {pair.id}_label.nii.gz beside it.")
    learns = split == "train"
    dataset = PreparedVolumes(
        pairs,
        seed=seed,
        patch=tuple(patch_size) if patch_size is not None and learns else None,
        changes=_changes(root, learns if augment is None else augment, always=augment is True),
    )
    return Loader(
        dataset,
        batch_size=batch_size,
        sampler=Order(dataset, shuffle=shuffle, seed=seed, even=learns),
        num_workers=num_workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
    )


def _changes(
    root: Path, wanted: bool, *, always: bool
) -> Callable[[tuple[int, ...]], Changes] | None:
    """The augmentation that the tree asks for; of a tree that says nothing, only where told to."""
    if not wanted or not (always or (root / SETTINGS).is_file()):
        return None
    settings = _settings(root)
    return partial(augmentation, settings) if always or settings.apply_augmentation else None


def _settings(root: Path) -> PreprocessingConfig:
    """What the tree was made with; the defaults where it does not say."""
    path = root / SETTINGS
    return read_settings(PreprocessingConfig, path if path.is_file() else None)


def _collate(items: list[Item]) -> dict[str, Any]:
    """Items as a batch, padded at the far ends to the largest."""
    return {
        "image": {
            "data": _stack([item["image"]["data"] for item in items], None),
            "affine": torch.stack([item["image"]["affine"] for item in items]),
        },
        "label": {
            "data": _stack([item["label"]["data"] for item in items], IGNORED),
            "affine": torch.stack([item["label"]["affine"] for item in items]),
        },
        "id": [item["id"] for item in items],
    }


def _stack(tensors: list[Tensor], value: float | None) -> Tensor:
    """(b, c, *s); the padding is `value`, or else the least of each."""
    size = [max(lengths) for lengths in zip(*(t.shape[1:] for t in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        ends = [n - own for n, own in zip(size, tensor.shape[1:], strict=True)]
        fill = float(tensor.min()) if value is None else value
        room = [edge for end in reversed(ends) for edge in (0, end)]
        padded.append(F.pad(tensor, room, value=fill) if any(ends) else tensor)
    return torch.stack(padded)
