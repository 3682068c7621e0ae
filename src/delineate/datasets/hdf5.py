"""SADAAN's HDF5: metadata.json beside train.h5, val.h5 and test.h5, masks that may overlap."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delineate.datasets.case import Case, Dataset
from delineate.datasets.listing import SPLITS, read_object
from delineate.errors import DataError
from delineate.labels import Labels

__all__ = ["EXPECTS", "Contents", "read", "read_contents", "read_names", "recognise"]

EXPECTS = "metadata.json beside train.h5, val.h5 or test.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What one file holds, without its voxels."""

    path: Path
    count: int
    shape: tuple[int, ...]
    """Of one image, with its channels where it has an axis for them."""
    structures: int | None
    """None where the file has no masks."""
    presence: list[list[int]] | None
    scenarios: list[str] | None


def recognise(root: Path) -> bool:
    """Whether the folder holds metadata.json and a split as HDF5."""
    return (root / "metadata.json").is_file() and bool(_files(root))


def read(root: Path) -> Dataset:
    """One case per item of each file, named <file>_<item>; the file's name is the split."""
    contents = [read_contents(path) for path in _files(root)]
    names = read_names(root, contents)
    labels = Labels.from_names({name: i for i, name in enumerate(names, 1)}, overlapping=True)
    cases = [case for found in contents for case in _cases(found)]
    return Dataset(
        root=root,
        layout="hdf5",
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        channels=_channels(root / "metadata.json"),
        labels=labels if names else None,
    )


def read_names(root: Path, contents: list[Contents]) -> list[str]:
    """The structures that metadata.json names, or numbers; the files must have as many masks."""
    where = root / "metadata.json"
    names = read_object(where).get("structure_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: 'structure_names' is no list of names. Fix: correct it.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: 'structure_names' has '{twice}' twice. Fix: correct it.")
    for found in contents:
        names = names or [f"structure_{i}" for i in range(1, (found.structures or 0) + 1)]
        if found.structures not in (None, len(names)):
            raise DataError(
                f"{found.path}: 'masks' has {found.structures} structures, but metadata.json names "
                f"{len(names)}. Fix: correct 'structure_names'."
            )
    return names


def read_contents(path: Path) -> Contents:
    """The figures of a file; the number of items is the length of `images`, whatever attrs say."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return _contents(file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({error}). Fix: copy it again.") from None


def _channels(where: Path) -> tuple[str, ...]:
    names = read_object(where).get("channel_names", ["image"])
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise DataError(f"{where}: 'channel_names' is no list of names. Fix: correct it.")
    return tuple(names)


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("*.h5")) if path.stem.lower() in SPLITS]


def _contents(file: Any, path: Path) -> Contents:
    """The figures of an open file; all that is there must agree in length."""
    if "images" not in file:
        raise DataError(
            f"{path}: has no data set 'images', only {sorted(file)}. Fix: name it 'images' (n, *s)."
        )
    count = len(file["images"])
    for name in ("masks", "presence_labels", "scenarios"):
        if name in file and len(file[name]) != count:
            raise DataError(
                f"{path}: 'images' has {count} items but '{name}' has {len(file[name])}. "
                "Fix: write the file again."
            )
    return Contents(
        path=path,
        count=count,
        shape=file["images"].shape[1:],
        structures=file["masks"].shape[1] if "masks" in file else None,
        presence=file["presence_labels"][:].tolist() if "presence_labels" in file else None,
        scenarios=[_text(entry) for entry in file["scenarios"]] if "scenarios" in file else None,
    )


def _text(entry: Any) -> str:
    return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)


def _cases(found: Contents) -> list[Case]:
    path = found.path
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
