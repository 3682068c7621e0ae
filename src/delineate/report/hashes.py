"""Which bytes a run has seen: the SHA-256 of every file of its cases.

`hashes.json` in a run's folder holds, by case id, `{"images": [...], "label": "..."}`. Of a plain
file it is what `sha256sum` prints; of a DICOM folder, the hash over those of its files by name.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from delineate.datasets import Case
from delineate.errors import DataError

__all__ = ["combined_hash", "hash_cases"]

Progress = Callable[..., Iterable]
THREADS = 4
"""Hashing lets go of the interpreter's lock; more threads only fight for the disk."""


def hash_cases(cases: Sequence[Case], *, progress: Progress | None = None) -> dict[str, Any]:
    """What `hashes.json` holds; a file that several cases lie in is read once."""
    places = {_place(path) for case in cases for path in _paths(case)}
    with ThreadPoolExecutor(THREADS) as pool:
        ordered = sorted(places)
        found = pool.map(_hash, ordered)
        digests = progress(found, len(ordered), "hashing") if progress else found
        known = dict(zip(ordered, digests, strict=True))
    return {
        case.id: {
            "images": [known[_place(path)] for path in case.images],
            "label": known[_place(case.label)] if case.label else None,
        }
        for case in cases
    }


def combined_hash(hashes: Mapping[str, Any]) -> str:
    """One hash of all cases: equal where the same cases had the same files."""
    found = hashlib.sha256()
    for case in sorted(hashes):
        parts = [*hashes[case]["images"], hashes[case]["label"] or "-"]
        found.update(" ".join([case, *parts, ""]).encode())
    return found.hexdigest()


def _paths(case: Case) -> tuple[str, ...]:
    return (*case.images, *([case.label] if case.label else []))


def _place(path: str) -> Path:
    # "file.h5::images[17]" is item 17 inside a file.
    return Path(path.partition("::")[0])


def _hash(place: Path) -> str:
    try:
        if not place.is_dir():
            return _of_file(place)
        total = hashlib.sha256()
        for part in sorted(p for p in place.iterdir() if p.is_file()):
            total.update(f"{part.name} {_of_file(part)}\n".encode())
        return total.hexdigest()
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}).") from error


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
