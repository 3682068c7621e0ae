"""What lies in a folder: its scans, its subfolders, and the split that a folder's name declares."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from delineate.errors import DataError
from delineate.io import is_image

__all__ = [
    "SPLITS",
    "find_folder",
    "natural",
    "read_json",
    "read_object",
    "scans_in",
    "split_folders",
    "split_of",
    "subfolders",
    "subject_of",
]

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Names that a folder, file or column gives to a split, in lower case."""


def natural(text: object) -> tuple[tuple[int, int | str], ...]:
    """A sort key that puts `case_9` before `case_10`."""
    parts = re.findall(r"\d+|\D+", str(text))
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def scans_in(folder: Path) -> list[Path]:
    """The images of a folder in natural order, folders with a DICOM series among them."""
    return sorted(filter(is_image, folder.iterdir()), key=lambda path: natural(path.name))


def subfolders(folder: Path) -> list[Path]:
    """The visible folders of a folder that are not DICOM series, in natural order."""
    found = [
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and not is_image(entry)
    ]
    return sorted(found, key=lambda path: natural(path.name))


def find_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first subfolder whose name, in any case, is one of these; None if there is none."""
    by_name = {entry.name.lower(): entry for entry in subfolders(root)}
    return next((by_name[name] for name in names if name in by_name), None)


def split_folders(root: Path) -> list[tuple[Path, str]]:
    """The subfolders that are named after a split, and the split that each declares."""
    return [
        (entry, SPLITS[entry.name.lower()])
        for entry in subfolders(root)
        if entry.name.lower() in SPLITS
    ]


def split_of(text: str, *, where: str) -> str | None:
    """The split that a word means; None for no word, a DataError for an unknown one."""
    word = text.strip().lower()
    if not word:
        return None
    if word not in SPLITS:
        raise DataError(
            f"{where}: the split '{text}' is unknown. Fix: use train, validation or test."
        )
    return SPLITS[word]


def subject_of(text: str) -> str:
    """The BIDS subject in a name, such as `sub-r048s014`; empty where there is none."""
    found = re.search(r"(?:^|[_/])(sub-[A-Za-z0-9]+)", text)
    return found.group(1) if found else ""


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; anything else in it is a DataError."""
    data = read_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds a {type(data).__name__}. Fix: write an object, {{...}}.")
    return data


def read_json(path: Path) -> Any:
    """The data in a JSON file; a DataError where it is absent or broken."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Fix: give the folder that holds {path.name}.")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid JSON ({error}). Fix: correct the file.") from None
