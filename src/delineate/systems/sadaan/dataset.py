"""The documented files as a data set of torch: an item is read when it is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from delineate.datasets.hdf5 import read_contents, read_names
from delineate.errors import DataError
from delineate.io import hdf5

__all__ = ["HDF5MedicalDataset"]

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


class HDF5MedicalDataset(Dataset[dict[str, Any]]):
    """The items of one split, which may be counted, sliced by a DataLoader, pickled and forked.

    Every process, and every thread in it, opens the file for itself at its first item. An item is
    a dict:

    | key | what |
    |---|---|
    | `image` | (c, h, w, d) float32, as stored: 0 to 255 in the documented sets |
    | `masks` | (structures, h, w, d) float32, 0 or 1; may overlap |
    | `presence` | (structures,) int64, 0 or 1; what the masks show where the file does not say |
    | `scenario` | text; empty where the file does not say |
    | `index` | the place in the file |

    Args:
        data_path: The folder with metadata.json and the files.
        split: 'train', 'val' or 'test'.
    """

    def __init__(self, data_path: str | Path, split: str = "train") -> None:
        root = Path(data_path)
        if not root.is_dir():
            raise DataError(
                f"{root}: no such folder. Fix: give the folder with metadata.json and train.h5."
            )
        if split not in SPLITS:
            raise DataError(f"split '{split}' is unknown. Fix: use train, val or test.")
        self.path = _file(root, SPLITS[split])
        contents = read_contents(self.path)
        if contents.structures is None:
            raise DataError(f"{self.path}: has no data set 'masks'. Fix: write it, (n, s, *shape).")
        self.split = SPLITS[split]
        self.structure_names = tuple(read_names(root, [contents]))
        self.scenarios = tuple(contents.scenarios or [""] * contents.count)
        self.presence = _whole(contents.presence)
        if self.presence is not None and self.presence.shape != (len(self), self.num_structures):
            raise DataError(
                f"{self.path}: 'presence_labels' is {self.presence.shape}, but there are "
                f"{len(self)} items of {self.num_structures} structures. Fix: write it again."
            )

    @property
    def num_structures(self) -> int:
        """How many masks an item has."""
        return len(self.structure_names)

    def __len__(self) -> int:
        return len(self.scenarios)

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = self._place(index)
        masks = torch.from_numpy(self._read("masks", place))
        return {
            "image": torch.from_numpy(self._read("images", place)),
            "masks": masks,
            "presence": self._known(place, masks),
            "scenario": self.scenarios[place],
            "index": place,
        }

    def reference(self, name: str, index: int) -> str:
        """Where `delineate.io` finds item `index` of 'images' or 'masks'."""
        return f"{self.path}::{name}[{self._place(index)}]"

    def _place(self, index: int) -> int:
        """An IndexError ends a loop over all items."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return index % len(self)

    def _read(self, name: str, place: int) -> np.ndarray:
        array = hdf5.read(f"{self.path}::{name}[{place}]").array
        return np.ascontiguousarray(array, np.float32)

    def _known(self, place: int, masks: Tensor) -> Tensor:
        if self.presence is None:
            return masks.flatten(1).any(1).long()
        return torch.from_numpy(self.presence[place])


def _whole(presence: list[list[int]] | None) -> np.ndarray | None:
    """(items, structures) int64; None where the file does not say."""
    return None if presence is None else np.array(presence).astype(np.int64)


def _file(root: Path, split: str) -> Path:
    """The file of a split; the message for an absent one names those that are there."""
    names = [name for name, meant in SPLITS.items() if meant == split]
    for name in names:
        if (root / f"{name}.h5").is_file():
            return root / f"{name}.h5"
    there = ", ".join(sorted(path.name for path in root.glob("*.h5"))) or "no .h5 file"
    raise DataError(f"{root}: no {split}.h5, but {there}. Fix: give the folder of the data set.")
