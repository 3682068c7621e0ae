"""What is known of every prepared subject, and whose files lie in a folder."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from delineate.datasets.listing import natural, read_object
from delineate.errors import DataError
from delineate.io import atomic_path, stem
from delineate.plan import Normalisation
from delineate.systems.liver.grid import Grid

__all__ = [
    "METADATA",
    "NATIVE",
    "SETTINGS",
    "SPLITS",
    "Pair",
    "Subject",
    "find_pairs",
    "read_metadata",
    "read_splits",
    "write_metadata",
]

METADATA = "preprocessing_metadata.json"
SETTINGS = "preprocessing_config.json"
NATIVE = "native"
"""The folder of true masks on the grids of their scans."""
SPLITS = ("train", "val", "test")
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """One prepared scan, and where it came from."""

    id: str
    patient: str
    """Whose scan it is: all scans of a patient are in one split."""
    split: str
    """'train', 'val' or 'test'."""
    source: str
    """The scan's file in the raw data set, relative to its folder."""
    grid: Grid
    """From the prepared volume back to the scan."""
    normalisation: Normalisation
    """How Hounsfield units became what the prepared volume holds."""
    voxels: Mapping[int, int]
    """Of each label but background, in the scan."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, texts and lists."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {
            **plain,
            "grid": {**self.grid.to_json(), "spacing_mm": list(self.grid.spacing)},
            "normalisation": asdict(self.normalisation),
            "voxels": {str(label): count for label, count in self.voxels.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Subject":
        """What `to_json` wrote."""
        return cls(
            **{name: data[name] for name in _PLAIN},
            grid=Grid.from_json(data["grid"]),
            normalisation=Normalisation(**data["normalisation"]),
            voxels={int(label): count for label, count in data["voxels"].items()},
        )


_PLAIN = ("id", "patient", "split", "source")


def read_metadata(data_dir: str | Path) -> dict[str, Subject]:
    """The prepared subjects by id, of a folder or of the one above it; none where it is not told.

    A tree that something else has prepared has no such file.
    """
    path = next((d / METADATA for d in _folders(data_dir) if (d / METADATA).is_file()), None)
    if path is None:
        return {}
    data = read_object(path)
    if data.get("format") != _FORMAT:
        raise DataError(
            f"{path}: has format {data.get('format')!r}, this version reads {_FORMAT}. "
            "Fix: preprocess again into a new folder."
        )
    try:
        return {name: Subject.from_json(entry) for name, entry in data["subjects"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: an entry is broken ({type(error).__name__}: {error}). "
            "Fix: preprocess again into a new folder."
        ) from None


def write_metadata(out: Path, subjects: Iterable[Subject], splits: Mapping[str, str]) -> None:
    """Write all subjects, and the split of every patient, those of failed subjects among them."""
    done = sorted(subjects, key=lambda subject: natural(subject.id))
    data = {
        "format": _FORMAT,
        "splits": dict(splits),
        "subjects": {subject.id: subject.to_json() for subject in done},
    }
    with atomic_path(out / METADATA) as part:
        part.write_text(json.dumps(data, indent=1), encoding="utf-8")


def read_splits(out: Path) -> dict[str, str]:
    """The split of every patient that `write_metadata` noted; empty where there is nothing yet."""
    if not (out / METADATA).is_file():
        return {}
    found = read_object(out / METADATA).get("splits")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


class Pair(NamedTuple):
    """The files of one prepared subject."""

    id: str
    image: Path
    label: Path | None


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """`<id>_image.nii.gz` and `<id>_label.nii.gz` of a folder, in natural order of their ids."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder. Fix: give the folder that holds train, val and test."
        )
    files = [p for p in folder.iterdir() if p.name.endswith((".nii", ".nii.gz"))]
    named = {stem(path): path for path in files if not path.name.startswith(".")}
    ids = [name.removesuffix("_image") for name in named if name.endswith("_image")]
    return tuple(
        Pair(id, named[f"{id}_image"], named.get(f"{id}_label")) for id in sorted(ids, key=natural)
    )


def _folders(data_dir: str | Path) -> tuple[Path, Path]:
    folder = Path(data_dir)
    return folder, folder.absolute().parent
