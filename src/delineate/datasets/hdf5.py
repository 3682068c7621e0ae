"""SADAAN's HDF5: metadata.json beside train.h5, val.h5 and test.h5, masks that may overlap."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import SPLITS, read_object
from delineate.errors import DataError
from delineate.labels import Labels

__all__ = ["EXPECTS", "read", "recognise"]

EXPECTS = "metadata.json beside train.h5, val.h5 or test.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What one file holds."""

    count: int
    structures: int | None
    """None where the file has no masks."""
    presence: list[list[int]] | None


def recognise(root: Path) -> bool:
    """Whether the folder holds metadata.json and a split as HDF5."""
    return (root / "metadata.json").is_file() and bool(_files(root))


def read(root: Path) -> Dataset:
    """One case per item of each file, named <file>_<item>; the file's name is the split."""
    names = read_object(root / "metadata.json").get("structure_names", [])
    contents = {path: _look_into(path) for path in _files(root)}
    for path, found in contents.items():
        names = names or [f"structure_{i}" for i in range(1, (found.structures or 0) + 1)]
        if found.structures not in (None, len(names)):
            raise DataError(
                f"{path}: 'masks' has {found.structures} structures, but metadata.json names "
                f"{len(names)}. Fix: correct 'structure_names'."
            )
    labels = Labels.from_names({name: i for i, name in enumerate(names, 1)}, overlapping=True)
    cases = [case for path, found in contents.items() for case in _cases(path, found)]
    return Dataset(
        root=root,
        layout="hdf5",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        labels=labels if names else None,
    )


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("*.h5")) if path.stem.lower() in SPLITS]


def _look_into(path: Path) -> _Contents:
    """The figures of a file; the number of items is the length of `images`, whatever attrs say."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return _contents(file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({error}). Fix: copy it again.") from None


def _contents(file: Any, path: Path) -> _Contents:
    """The figures of an open file; images, masks and presence must agree in length."""
    if "images" not in file:
        raise DataError(
            f"{path}: has no data set 'images', only {sorted(file)}. Fix: name it 'images' (n, *s)."
        )
    count = len(file["images"])
    for name in ("masks", "presence_labels"):
        if name in file and len(file[name]) != count:
            raise DataError(
                f"{path}: 'images' has {count} items but '{name}' has {len(file[name])}. "
                "Fix: write the file again."
            )
    return _Contents(
        count=count,
        structures=file["masks"].shape[1] if "masks" in file else None,
        presence=file["presence_labels"][:].tolist() if "presence_labels" in file else None,
    )


def _cases(path: Path, found: _Contents) -> list[Case]:
    digits = max(5, len(str(found.count)))
    names = [f"{path.stem}_{i:0{digits}d}" for i in range(found.count)]
    return [
        Case(
            id=name,
            images=(f"{path}::images[{i}]",),
            label=None if found.structures is None else f"{path}::masks[{i}]",
            group=name,
            split=SPLITS[path.stem.lower()],
            presence=None if found.presence is None else tuple(map(int, found.presence[i])),
        )
        for i, name in enumerate(names)
    ]
