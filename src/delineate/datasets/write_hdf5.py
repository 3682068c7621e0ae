"""SADAAN's HDF5 files, written item by item: one chunk of gzip per item, metadata.json beside."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError

__all__ = ["Sample", "write_samples"]

_GZIP = 6
_ROWS = 256
"""Presence and scenario of so many items lie in one chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item of one file."""

    split: str
    """The file it goes into: 'train', 'val' or 'test'."""
    image: np.ndarray
    """(c, *s); a single channel takes no axis in the file."""
    masks: np.ndarray
    """(structures, *s) 0/1, which may overlap."""
    presence: Sequence[int]
    """0/1 per structure."""
    scenario: str
    spacing: tuple[float, ...] | None = None
    """mm; written where it is the same for the whole file."""


def write_samples(
    out: Path, names: Sequence[str], samples: Iterable[Sample], *, about: Mapping[str, Any]
) -> dict[str, int]:
    """Write <split>.h5 and metadata.json into a folder; how many items each split got.

    All items have one shape; the arrays of one item at a time are held.

    Args:
        out: made if need be.
        names: of the structures, in the order of the masks.
        samples: in the order in which they are to lie in the files.
        about: what metadata.json says besides, such as `dataset_info`; a `scenarios` in it stands
            in place of the ones that are met here.
    """
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, _File] = {}
    met: dict[str, list[Sequence[int]]] = {}
    with ExitStack() as stack:
        for sample in samples:
            if sample.split not in files:
                files[sample.split] = _File(out / f"{sample.split}.h5", sample, stack)
            files[sample.split].add(sample)
            met.setdefault(sample.scenario, []).append(sample.presence)
        for file in files.values():
            file.finish()
    shapes = {file.shape for file in files.values()}
    if len(shapes) != 1:
        raise DataError(f"{out}: items of the shapes {sorted(shapes)}. Fix: one shape for all.")
    counts = {split: file.count for split, file in files.items()}
    metadata = {
        "structure_names": list(names),
        "image_size": list(shapes.pop()[-3:]),
        "num_structures": len(names),
        **about,
        "scenarios": about.get("scenarios", _scenarios(met, names)),
        "samples": counts,
    }
    text = json.dumps(metadata, indent=1, ensure_ascii=False) + "\n"
    (out / "metadata.json").write_text(text, encoding="utf-8")
    return counts


class _File:
    """One split, open for writing."""

    def __init__(self, path: Path, first: Sample, stack: ExitStack) -> None:
        import h5py

        self.path = path
        self.shape = _stored(first.image).shape
        self.count = 0
        self._file: Any = stack.enter_context(h5py.File(path, "w"))
        self._spacings: set[tuple[float, ...] | None] = set()
        structures = len(first.masks)
        packed = {"compression": "gzip", "compression_opts": _GZIP}
        for name, shape, dtype in (
            ("images", self.shape, "float32"),
            ("masks", (structures, *first.masks.shape[1:]), "bool"),
        ):
            self._create(name, shape, dtype, rows=1, **packed)
        self._create("presence_labels", (structures,), "int64", rows=_ROWS)
        self._create("scenarios", (), h5py.string_dtype(), rows=_ROWS)

    def add(self, sample: Sample) -> None:
        """Append one item."""
        image = _stored(sample.image)
        if image.shape != self.shape or sample.masks.shape[1:] != image.shape[-3:]:
            raise DataError(
                f"{self.path}: item {self.count} has an image of {image.shape} and masks of "
                f"{sample.masks.shape}, but the first image is {self.shape}. "
                "Fix: one shape for all."
            )
        item = {
            "images": image,
            "masks": sample.masks.astype(bool, copy=False),
            "presence_labels": sample.presence,
            "scenarios": sample.scenario,
        }
        for name, values in item.items():
            data = self._file[name]
            data.resize(self.count + 1, axis=0)
            data[self.count] = values
        self._spacings.add(sample.spacing)
        self.count += 1

    def finish(self) -> None:
        """Write the attributes."""
        self._file.attrs["n_samples"] = self.count
        self._file.attrs["image_shape"] = self.shape
        self._file.attrs["n_structures"] = self._file["masks"].shape[1]
        spacing = next(iter(self._spacings)) if len(self._spacings) == 1 else None
        if spacing is not None:
            self._file.attrs["spacing"] = spacing

    def _create(
        self, name: str, shape: tuple[int, ...], dtype: Any, *, rows: int, **packed: Any
    ) -> None:
        self._file.create_dataset(
            name, (0, *shape), maxshape=(None, *shape), dtype=dtype, chunks=(rows, *shape), **packed
        )


def _stored(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else image


def _scenarios(
    met: Mapping[str, Sequence[Sequence[int]]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Each scenario that occurs, the structures that its items have, and its share of all items."""
    total = sum(map(len, met.values()))
    return [
        {
            "name": name,
            "present": [n for n, shown in zip(names, np.max(rows, axis=0), strict=True) if shown],
            "weight": round(len(rows) / total, 6),
        }
        for name, rows in met.items()
    ]
