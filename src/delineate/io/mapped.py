"""An array that lies in a file: written and read in parts, and never in memory as a whole."""

import mmap
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from delineate.errors import DataError

__all__ = ["MappedArray"]


PIECE = 1 << 26
"""Bytes of the file that are in memory at a time."""


class MappedArray:
    """(k, *s) in a file, zeros at first; written and read in parts that need little memory.

    A part is quick where it is whole along all axes but the second, as the file is laid out.

    Args:
        file: Open for reading and writing; it may be closed as soon as this is made.
        shape: Of the array, in C order.
        dtype: Of its values.
        offset: Bytes of the file before the array; they are left as they are.
    """

    def __init__(
        self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype | type, *, offset: int = 0
    ) -> None:
        count = prod(shape)
        size = offset + max(1, count * np.dtype(dtype).itemsize)
        _check_room(file, size)
        # The file grows by a hole: what is never written takes no room on most disks.
        file.truncate(size)
        file.flush()
        self._map = mmap.mmap(file.fileno(), 0)
        self.array = np.frombuffer(self._map, dtype, count, offset).reshape(shape)

    @classmethod
    def nameless(
        cls, shape: tuple[int, ...], dtype: np.dtype | type, *, folder: Path | None = None
    ) -> "MappedArray":
        """In a file without a name that is gone with the last use of the array.

        `folder` says on which disk; None takes the system's place for such files.
        """
        with TemporaryFile(dir=folder) as file:
            return cls(file, shape, dtype)

    def write(self, place: tuple[slice, ...], values: np.ndarray) -> None:
        """Write (k, *block) at a place of the axes after the first."""
        start = place[0].start
        for channel, rows in self._pieces(place[0]):
            own = slice(rows.start - start, rows.stop - start)
            self.array[(channel, rows, *place[1:])] = values[channel, own]
            self.release()

    def read(self, place: tuple[slice, ...]) -> np.ndarray:
        """A copy (k, *block) of a place of the axes after the first."""
        start = place[0].start
        found = np.empty((len(self.array), *(s.stop - s.start for s in place)), self.array.dtype)
        for channel, rows in self._pieces(place[0]):
            own = slice(rows.start - start, rows.stop - start)
            found[channel, own] = self.array[(channel, rows, *place[1:])]
            self.release()
        return found

    def release(self) -> None:
        """Give back the memory that holds parts of the file; the values stay."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def _pieces(self, rows: slice) -> Iterator[tuple[int, slice]]:
        """Rows of the second axis, channel by channel, in pieces of the file."""
        row = self.array[:1, :1].nbytes
        step = max(1, PIECE // max(1, row))
        for channel in range(len(self.array)):
            for start in range(rows.start, rows.stop, step):
                yield channel, slice(start, min(start + step, rows.stop))

    def save(self) -> None:
        """Have all that was written on the disk."""
        self._map.flush()


def _check_room(file: BinaryIO, size: int) -> None:
    """The disk has room for that many bytes: a write to a mapped hole of a full one kills us."""
    if not hasattr(os, "fstatvfs"):
        return
    disk = os.fstatvfs(file.fileno())
    free = disk.f_bavail * disk.f_frsize
    if size > free:
        raise DataError(
            f"scores of all classes need {size / 1e9:.1f} GB on the disk, but {free / 1e9:.1f} GB "
            "are free. Fix: make room, or choose another disk."
        )
