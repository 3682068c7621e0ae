"""Slices as the steps without chance leave them, kept in a folder from the first epoch on.

The folder's name is a hash of those steps and of every file, by size and time of change: change any
and another folder is used. An index has one record a slice; the pixels lie in one file for each
process that has written. A record is written behind its pixels and carries their checksum, so a
process may be ended at any time and nothing needs a lock. The folder may be deleted whenever
nothing runs.
"""

import os
import secrets
import shutil
import struct
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from isal.isal_zlib import crc32

from delineate.io.paths import split_reference

__all__ = ["SliceCache", "cache_folder"]

RESERVE: Final = 2_000_000_000
"""Bytes of the disk that are left free."""
_RECORD = struct.Struct("<QQQ8s3I2IIi")
_LENGTH: Final = 64


class Kept(NamedTuple):
    """What is kept of a slice."""

    image: np.ndarray
    mask: np.ndarray | None
    size: tuple[int, int]
    """Rows and columns as decoded."""


class SliceCache:
    """A folder of decoded slices, by their number; it is written and read by many processes.

    Args:
        folder: Made if need be.
        count: How many slices there are.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self._files: dict[str, int] = {}
        self._process = 0
        self._own = ""
        self._full = False

    def __getstate__(self) -> tuple[Path, int]:
        return self.folder, self.count

    def __setstate__(self, state: tuple[Path, int]) -> None:
        self.__init__(*state)

    def get(self, number: int) -> Kept | None:
        """The slice, writable; None where it is not kept, or not whole."""
        self._mine()
        index = self._open("index")
        record = b"" if index is None else os.pread(index, _LENGTH, number * _LENGTH)
        if len(record) < _RECORD.size:
            return None
        shard, start, length, kind, *rest = _RECORD.unpack(record[: _RECORD.size])
        *shape, rows, columns, check, seal = rest
        file = self._open(f"{shard:016x}.bin") if seal == _seal(record) else None
        if file is None:
            return None
        room = bytearray(length)
        if os.preadv(file, [room], start) != length or crc32(room) != check:
            return None
        buffer = np.frombuffer(room, np.uint8)
        image_type = np.dtype(kind.rstrip(b"\0").decode())
        inner = tuple(n for n in shape if n)
        image = buffer[: _bytes(inner, image_type)].view(image_type).reshape(inner)
        left = buffer[image.nbytes :]
        mask = left.reshape(inner[:2]) if len(left) else None
        return Kept(image, mask, (rows, columns))

    def put(self, number: int, kept: Kept) -> None:
        """Keep a slice, unless the disk is nearly full."""
        self._mine()
        if self._full or not self._room(kept.image.nbytes):
            return
        parts = [np.ascontiguousarray(kept.image)]
        if kept.mask is not None:
            parts.append(np.ascontiguousarray(kept.mask))
        data = b"".join(part.tobytes() for part in parts)
        try:
            self._write(number, kept, data)
        except OSError:
            # A full disk costs time, not the training.
            self._full = True

    def _write(self, number: int, kept: Kept, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._own:
            self._own = f"{secrets.randbits(63):016x}"
        file = self._create(f"{self._own}.bin")
        start = os.lseek(file, 0, os.SEEK_END)
        if os.pwrite(file, data, start) != len(data):
            raise OSError("a part was not written")
        shape = (*kept.image.shape, 0)[:3]
        record = _RECORD.pack(
            *(int(self._own, 16), start, len(data), kept.image.dtype.str.encode()),
            *(*shape, *kept.size, crc32(data), 0),
        )
        record = record[:-4] + struct.pack("<i", _seal(record))
        os.pwrite(self._create("index"), record.ljust(_LENGTH, b"\0"), number * _LENGTH)

    def _mine(self) -> None:
        """Files are opened, and written to, by each process for itself."""
        if self._process != os.getpid():
            self._process, self._own, self._files, self._full = os.getpid(), "", {}, False

    def _open(self, name: str) -> int | None:
        if name not in self._files:
            try:
                self._files[name] = os.open(self.folder / name, os.O_RDWR)
            except OSError:
                return None
        return self._files[name]

    def _create(self, name: str) -> int:
        if name not in self._files:
            self._files[name] = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o644)
        return self._files[name]

    def _room(self, more: int) -> bool:
        place = self.folder
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            self._full = shutil.disk_usage(place).free < RESERVE + more
        except OSError:
            self._full = True
        return not self._full

    def close(self) -> None:
        """Let go of the files; the next use opens them again."""
        if self._process == os.getpid():
            for file in self._files.values():
                os.close(file)
        self._files = {}

    def __del__(self) -> None:
        self.close()


def cache_folder(log: Path, key: str, references: Sequence[str | None]) -> Path:
    """Where slices are kept that these steps make of these files.

    Args:
        log: The folder of the logs.
        key: Of the steps.
        references: Images and masks in their order; None for a mask that there is not.
    """
    mark = sha256(key.encode())
    stamps: dict[str, str] = {}
    for reference in references:
        place = "" if reference is None else split_reference(reference).path
        if place not in stamps:
            stamps[place] = _stamp(place)
        mark.update(f"{reference}|{stamps[place]}\n".encode())
    return log / "slice_cache" / mark.hexdigest()[:24]


def _stamp(place: str) -> str:
    """Size and time of change, of a folder those of its files; of what is no file nothing."""
    path = Path(place)
    try:
        if not place:
            return ""
        files = sorted(os.scandir(path), key=lambda f: f.name) if path.is_dir() else [path]
        return ",".join(f"{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in files)
    except OSError:
        return ""


def _seal(record: bytes) -> int:
    """A checksum of a record without itself, never 0."""
    return (crc32(record[: _RECORD.size - 4]) & 0x7FFFFFFF) or 1


def _bytes(shape: tuple[int, ...], kind: np.dtype) -> int:
    return int(np.prod(shape)) * kind.itemsize
