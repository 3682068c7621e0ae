"""The zip file of a package.

Members are stored, never compressed: an archive cannot grow when it is read, weights hardly shrink
anyway, and the same members give the same bytes on every machine. `manifest.json` comes last and
has the length and the SHA-256 of every other member.
"""

import hashlib
import json
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from delineate import __version__
from delineate.errors import DataError
from delineate.io import atomic_path
from delineate.package.checks import (
    FIX,
    MANIFEST,
    MODEL,
    Known,
    refuse_danger,
    refuse_disagreement,
    refuse_packed,
    refuse_unknown,
)
from delineate.package.refusals import (
    NewerFormat,
    NotAPackage,
    PickleInside,
    TruncatedPackage,
    WrongChecksum,
)

__all__ = ["FORMAT", "MANIFEST", "Archive", "open_archive", "write_archive"]

FORMAT = 1
"""Raised by one whenever an older reader would not understand what is written."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BROKEN = (BadZipFile, OSError, ValueError, EOFError, NotImplementedError, struct.error, IndexError)
"""What `zipfile` raises for archives that are not as they must be."""


def write_archive(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write the members in their order and the manifest behind them; at once or not at all."""
    listed = {}
    with atomic_path(path) as part, ZipFile(part, "w", ZIP_STORED) as file:
        for name, data in members:
            listed[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            file.writestr(_entry(name), data)
        manifest = {
            "format": FORMAT,
            "written_by": f"delineate {__version__}",
            "members": listed,
        }
        file.writestr(_entry(MANIFEST), json.dumps(manifest, indent=1).encode())


class Archive:
    """A package whose names, sizes and manifest are in order."""

    def __init__(self, path: Path, file: ZipFile, checksums: Mapping[str, str]) -> None:
        self.path = path
        self._file = file
        self._checksums = checksums

    @property
    def names(self) -> tuple[str, ...]:
        """Every member but the manifest."""
        return tuple(self._checksums)

    def read(self, name: str) -> bytes:
        """A member whose SHA-256 is right; one that is not there is a NotAPackage."""
        if name not in self._checksums:
            raise NotAPackage(f"{self.path}: there is no {name} in it. {FIX}")
        data = _read(self.path, self._file, name)
        if hashlib.sha256(data).hexdigest() != self._checksums[name]:
            raise WrongChecksum(
                f"{self.path}: {name} is not what was packed: its SHA-256 differs from the "
                f"manifest's. {FIX}"
            )
        return data

    def read_json(self, name: str) -> Any:
        """A member as plain data."""
        return _parse(self.path, name, self.read(name))


@contextmanager
def open_archive(path: Path, known: Known = MODEL) -> Iterator[Archive]:
    """A package to read from; whatever is wrong with it has a name in `refusals`."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Fix: give a package of `delineate package`.")
    with _open(path) as file:
        infos = file.infolist()
        refuse_danger(path, infos)
        if MANIFEST not in file.namelist():
            raise NotAPackage(f"{path}: a zip without {MANIFEST} is no package. {FIX}")
        # The version first: what a newer one does is not wrong, but unknown.
        members = _manifest(path, file)
        refuse_unknown(path, infos, known)
        refuse_disagreement(path, infos, members)
        yield Archive(path, file, {name: entry["sha256"] for name, entry in members.items()})


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix, wherever it is written
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def _open(path: Path) -> ZipFile:
    with path.open("rb") as file:
        start = file.read(4)
    try:
        return ZipFile(path)
    except _BROKEN as error:
        if start == b"PK\x03\x04":
            raise TruncatedPackage(
                f"{path}: the end of the archive is missing or broken ({error}). "
                "Fix: copy or download it again."
            ) from None
        if start[:1] == b"\x80":
            raise PickleInside(
                f"{path}: this is a pickle, which could run any code; it is not opened. {FIX}"
            ) from None
        raise NotAPackage(f"{path}: this is no zip archive. {FIX}") from None


def _manifest(path: Path, file: ZipFile) -> dict[str, dict[str, Any]]:
    """Length and SHA-256 by member."""
    refuse_packed(path, file.getinfo(MANIFEST))
    manifest = _parse(path, MANIFEST, _read(path, file, MANIFEST))
    number = manifest.get("format") if isinstance(manifest, dict) else None
    if type(number) is not int:
        raise NotAPackage(f"{path}: {MANIFEST} does not say which format this is. {FIX}")
    if number > FORMAT:
        writer = ascii(str(manifest.get("written_by", "a newer version"))[:40]).strip("'\"")
        raise NewerFormat(
            f"{path}: the package has format {number}, written by {writer}; this is delineate "
            f"{__version__}, which reads up to {FORMAT}. Fix: pip install --upgrade delineate"
        )
    members = manifest.get("members")
    if not isinstance(members, dict) or not all(map(_is_member, members.values())):
        raise NotAPackage(f"{path}: {MANIFEST} does not list the members. {FIX}")
    return members


def _is_member(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and isinstance(entry.get("sha256"), str)
    )


def _read(path: Path, file: ZipFile, name: str) -> bytes:
    try:
        return file.read(name)
    except _BROKEN as error:
        raise WrongChecksum(f"{path}: {name} is damaged ({error}). {FIX}") from None


def _parse(path: Path, name: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotAPackage(f"{path}: {name} is not JSON ({error}). {FIX}") from None
