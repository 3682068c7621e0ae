"""Which bytes a run has seen: the SHA-256 of every file of its cases.

`hashes.json` in a run's folder holds, by case id, `{"images": [...], "label": "..."}`. Of a plain
file it is what `sha256sum` prints; of a DICOM folder, the hash over those of its files by name.

A data set may be larger than any memory: its files are read for this once. The next run takes their
hashes from a memo as long as path, size and time of change are the same, by which prepared cases
are known again too.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from delineate.data.key import case_key
from delineate.datasets import Case
from delineate.errors import DataError
from delineate.io import atomic_path

__all__ = ["combined_hash", "hash_cases", "hash_file"]

Progress = Callable[..., Iterable]
THREADS = 4
"""Hashing lets go of the interpreter's lock; more threads only fight for the disk."""


def hash_cases(
    cases: Sequence[Case], memo: Path, *, progress: Progress | None = None
) -> dict[str, Any]:
    """What `hashes.json` holds; a file that several cases lie in is read once.

    Args:
        memo: The file of hashes that are known already, to which new ones are added; safe to
            delete.
    """
    keys = {case.id: case_key(case) for case in cases}
    known = json.loads(memo.read_text(encoding="utf-8")) if memo.is_file() else {}
    unknown = [case for case in cases if keys[case.id] not in known]
    if unknown:
        digests = _digests({_place(p) for case in unknown for p in _paths(case)}, progress)
        for case in unknown:
            known[keys[case.id]] = {
                "images": [digests[_place(path)] for path in case.images],
                "label": digests[_place(case.label)] if case.label else None,
            }
        with atomic_path(memo) as part:
            part.write_text(json.dumps(known), encoding="utf-8")
    return {case: known[key] for case, key in keys.items()}


def combined_hash(hashes: Mapping[str, Any]) -> str:
    """One hash of all cases: equal where the same cases had the same files."""
    found = hashlib.sha256()
    for case in sorted(hashes):
        parts = [*hashes[case]["images"], hashes[case]["label"] or "-"]
        found.update(" ".join([case, *parts, ""]).encode())
    return found.hexdigest()


def _digests(places: set[Path], progress: Progress | None) -> dict[Path, str]:
    ordered = sorted(places)
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(_hash, ordered)
        shown = progress(found, len(ordered), "hashing") if progress else found
        return dict(zip(ordered, shown, strict=True))


def _paths(case: Case) -> tuple[str, ...]:
    return (*case.images, *([case.label] if case.label else []))


def _place(path: str) -> Path:
    # "file.h5::images[17]" is item 17 inside a file.
    return Path(path.partition("::")[0])


def _hash(place: Path) -> str:
    try:
        if not place.is_dir():
            return hash_file(place)
        total = hashlib.sha256()
        for part in sorted(p for p in place.iterdir() if p.is_file()):
            total.update(f"{part.name} {hash_file(part)}\n".encode())
        return total.hexdigest()
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}).") from error


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
