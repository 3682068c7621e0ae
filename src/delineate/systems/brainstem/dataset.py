"""The documented data set: every patch of a grid over the volumes that shows enough labels."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from delineate.errors import ConfigError, DataError
from delineate.geometry import cut
from delineate.inference.lines import make_line
from delineate.systems.brainstem.settings import TrainingConfig, checked
from delineate.systems.brainstem.tree import read_tree
from delineate.systems.brainstem.volumes import classes_of, parts_of

__all__ = ["BrainstemDataset"]

OVERLAP = 0.5
SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("validation",),
    "validation": ("validation",),
    "all": ("train", "validation"),
}


class BrainstemDataset(Dataset[tuple[Tensor, Tensor]]):
    """Patches (volume float32 (c, *patch), labels int64 (*patch)), the same ones each time.

    The grid goes from border to border, neighbours share at least half of their voxels, and volumes
    smaller than a patch lie in its middle between zeros. Labels are the classes of the network, 0
    to num_classes - 1. A training does not read from here, but sees the same voxels and no others.

    Args:
        data_dir: The documented folder.
        config: Its patch, classes, morphogens and shares; None takes the defaults.
        split: 'train', 'val' or 'all'; what is in 'train' is never in 'val'.
    """

    def __init__(
        self, data_dir: str | Path, config: TrainingConfig | None = None, split: str = "train"
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split '{split}' is unknown. Fix: train, val or all.")
        self.config = checked(TrainingConfig() if config is None else config)
        tree = read_tree(data_dir)
        self.classes = classes_of(tree, self.config)
        self.labels = self.classes.labels
        self._volumes: list[tuple[np.ndarray, np.ndarray]] = []
        self.places: list[tuple[int, tuple[int, ...]]] = []
        """The volume of each item, and its first voxel there."""
        for part in parts_of(tree, self.config, self.classes):
            if part.split in SPLITS[split]:
                self._add(part.image.array, self.labels.encode(part.mask))
        if not self.places:
            raise DataError(
                f"{data_dir}: no patch of the split '{split}' has {self.config.min_foreground} "
                "labelled voxels. Fix: a lower min_foreground, or other classes."
            )

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number, start = self._place(index)
        image, mask = self._volumes[number]
        patch = self.config.patch_size
        end = tuple(a + n for a, n in zip(start, patch, strict=True))
        seen, ids = np.empty((len(image), *patch), np.float32), np.empty(patch, np.int64)
        cut(image, start, end, out=seen)
        cut(mask, start, end, out=ids)
        return torch.from_numpy(seen), torch.from_numpy(ids)

    def subdivision_mask(self, index: int) -> Tensor:
        """(*patch) int64: 1, 2, 3, ... where a voxel's class lies in a subdivision, else 0."""
        return torch.from_numpy(self.classes.part_of)[self[index][1]]

    def _add(self, image: np.ndarray, mask: np.ndarray) -> None:
        patch, number = self.config.patch_size, len(self._volumes)
        self._volumes.append((image, mask))
        lines = [make_line(n, p, OVERLAP).starts for n, p in zip(mask.shape, patch, strict=True)]
        for start in product(*lines):
            if _labelled(mask, start, patch) >= max(1, self.config.min_foreground):
                self.places.append((number, start))

    def _place(self, index: int) -> tuple[int, tuple[int, ...]]:
        """An IndexError ends a loop over all items."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self.places[index]


def _labelled(mask: np.ndarray, start: Sequence[int], patch: Sequence[int]) -> int:
    inside = tuple(slice(max(a, 0), a + n) for a, n in zip(start, patch, strict=True))
    return int(np.count_nonzero(mask[inside]))
