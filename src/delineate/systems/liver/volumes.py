"""The samples of a preprocessed split: whole volumes, or patches in which small tumours are seen.

A sample is a pure function of the seed and its number, which counts on through the epochs: neither
the number of reading processes nor what was read before changes one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import Dataset

from delineate.augment import Sequence as Changes
from delineate.contracts import Batch, Target
from delineate.data.foreground import find_foreground, rows_of
from delineate.data.patches import patch_anywhere, patch_around
from delineate.datasets.alignment import misfit
from delineate.errors import DataError
from delineate.geometry import cut
from delineate.io import Volume, read_mask, read_volume
from delineate.systems.liver.subjects import Pair

__all__ = ["Item", "PreparedVolumes"]

Item = dict[str, Any]
"""`image` and `label`, each with `data` (1, *s) and `affine` (4, 4); and `id`."""

_FOREGROUND: Final = 0.5
"""Share of patches that are laid around a structure, each class as often."""


class PreparedVolumes(Dataset[Item]):
    """Item n + e * len(self) is subject n in epoch e.

    Args:
        pairs: Images and labels.
        seed: Of all that is drawn.
        patch: Voxels of a sample; None hands out whole volumes.
        changes: Makes the augmentation for a size of sample; None changes nothing.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        seed: int,
        patch: tuple[int, ...] | None = None,
        changes: Callable[[tuple[int, ...]], Changes] | None = None,
    ) -> None:
        self.pairs = tuple(pairs)
        self._seed = seed
        self._patch = patch
        self._changes = changes
        self._places: dict[int, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Item]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Item:
        pair = self.pairs[number % len(self)]
        image, ids = _read(pair)
        size = self._patch or ids.shape
        start = (0, 0, 0) if self._patch is None else self._start(number, ids)
        change = None if self._changes is None else self._changes(size)
        read = size
        if change is not None and self._patch is not None:
            read = change.read_patch(image.spacing)
        # Beyond a scan lies air, its darkest value. As 0 it is what cutting and turning fill in.
        air = image.array.min(initial=0)
        begin = tuple(a - (r - n) // 2 for a, r, n in zip(start, read, size, strict=True))
        batch = Batch(
            image=torch.from_numpy(_cut(image.array - air, begin, read, np.float32))[None],
            target=Target(mask=torch.from_numpy(_cut(ids, begin, read, np.int64))[None]),
            spacing=image.spacing,
            cases=(pair.id,),
            step=number,
        )
        if change is not None:
            batch = change(batch, seed=self._seed)
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ start
        where = torch.from_numpy(affine).float()
        return {
            "image": {"data": batch.image[0] + air, "affine": where},
            "label": {"data": batch.target.mask, "affine": where.clone()},
            "id": pair.id,
        }

    def _start(self, number: int, ids: np.ndarray) -> tuple[int, ...]:
        """The first voxel of a patch, half of the time around a structure."""
        assert self._patch is not None
        # The third word of the counter keeps this stream apart from the augmentation's.
        bits = np.random.Philox(key=(self._seed, number), counter=(0, 0, 1, 0))
        rng = np.random.Generator(bits)
        structures = self._structures(number % len(self), ids)
        if not structures or rng.random() >= _FOREGROUND:
            return patch_anywhere(rng, ids.shape, self._patch)
        places = structures[int(rng.integers(len(structures)))]
        place = places[int(rng.integers(len(places)))].tolist()
        return patch_around(rng, ids.shape, self._patch, place)

    def _structures(self, subject: int, ids: np.ndarray) -> list[np.ndarray]:
        """Places (n, 3) of each structure of a subject, looked up once."""
        if subject not in self._places:
            name = self.pairs[subject].id
            table, _, sampled = find_foreground(ids, overlapping=False, case=name)
            rows = (slice(*rows_of(sampled, channel)) for channel in sorted(sampled))
            self._places[subject] = [table[own, 1:] for own in rows]
        return self._places[subject]


def _read(pair: Pair) -> tuple[Volume, np.ndarray]:
    """The image, and its ids (*s), which lie on one grid."""
    if pair.label is None:
        raise DataError(f"{pair.image}: has no {pair.id}_label.nii.gz beside it.")
    image, label = read_volume(pair.image), read_mask(pair.label)
    wrong = misfit(image, label, name=pair.image.name)
    if wrong is not None:
        raise DataError(f"{pair.label} {wrong.text}. Fix: preprocess {pair.id} again.")
    return image, label.array[0]


def _cut(
    source: np.ndarray, begin: tuple[int, ...], size: tuple[int, ...], kind: type[np.generic]
) -> np.ndarray:
    """A box of the last three axes, zeros beyond the border."""
    out = np.empty((*source.shape[:-3], *size), kind)
    cut(source, begin, tuple(a + n for a, n in zip(begin, size, strict=True)), out=out)
    return out
