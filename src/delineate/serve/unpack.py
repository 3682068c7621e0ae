"""Gzip and zip unpacked under a limit that holds for what comes out, whatever their headers say."""

import errno
import gzip
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from isal import igzip, isal_zlib

from delineate.io.paths import has_dicom_mark
from delineate.serve.refusal import Refusal, too_large

__all__ = ["gunzip", "unzip_series"]

# The package's stubs declare this class as an instance.
_Failure = cast(type[Exception], isal_zlib.error)
_STEP = 1 << 20
_MAX_FILES = 20_000
_ENTRY_BYTES = 1024
"""In the directory of an archive, at most so many per file."""
_END_BYTES = (1 << 16) + 22 + 20 + 56
"""The records at the end of an archive lie here, behind a comment of at most 64 KiB."""
_DIRECTORY_LENGTHS = ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8))
"""The mark of each such record, and where in it the length of the directory stands."""
_ELSEWHERE = 0xFFFFFFFF
"""The first record says so where the second one tells the length."""
_CLIMBING = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:|\0")


def gunzip(packed: Path, target: Path, *, max_bytes: int) -> None:
    """Write what a gzip file holds; a broken one is a 400, one that grows too large a 413."""
    try:
        with igzip.open(packed, "rb") as source:
            _copy(cast(IO[bytes], source), target, left=max_bytes, max_bytes=max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error, _Failure) as error:
        raise Refusal(
            400, f"the gzip stream is broken ({error}).", fix="Send the file again."
        ) from None


def unzip_series(archive: Path, folder: Path, *, max_bytes: int) -> None:
    """Write every DICOM file of a zip into a new folder, under numbers instead of names.

    What is no DICOM file, such as a licence, is passed over. An archive with a name that climbs
    out, a link, or a password is refused whole.
    """
    folder.mkdir()
    _refuse_long_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            _unzip(opened, folder, max_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        # A broken directory asks for a place before the file begins; a full disk is our fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise Refusal(400, f"the zip is broken ({error}).", fix="Pack it again.") from None
    if not any(folder.iterdir()):
        raise Refusal(
            400, "the zip holds no DICOM file.", fix="Pack the files of one DICOM series."
        )


def _unzip(archive: zipfile.ZipFile, folder: Path, max_bytes: int) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        _check(member)
    left = max_bytes
    for number, member in enumerate(members):
        target = folder / f"{number:05}.dcm"
        with archive.open(member) as source:
            left -= _copy(source, target, left=left, max_bytes=max_bytes)
        if not has_dicom_mark(target):
            target.unlink()


def _check(member: zipfile.ZipInfo) -> None:
    """Refuse what no honest archive of a series holds."""
    reason = None
    if _CLIMBING.search(member.filename):
        reason = "a name that leads out of the archive"
    elif stat.S_ISLNK(member.external_attr >> 16):
        reason = "a symbolic link"
    elif member.flag_bits & 1:
        reason = "a file with a password"
    if reason:
        raise Refusal(400, f"the zip holds {reason}.", fix="Pack the plain files of one series.")


def _refuse_long_directory(archive: Path) -> None:
    """Refuse an archive of so many files that listing them alone would fill the memory."""
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
    lengths = [
        int.from_bytes(end[mark.start() + place : mark.start() + place + width], "little")
        for sign, place, width in _DIRECTORY_LENGTHS
        for mark in re.finditer(sign, end)
    ]
    if max((n for n in lengths if n != _ELSEWHERE), default=0) > _MAX_FILES * _ENTRY_BYTES:
        raise Refusal(
            413, f"the zip holds more than {_MAX_FILES} files.", fix="Pack one series alone."
        )


def _copy(source: IO[bytes], target: Path, *, left: int, max_bytes: int) -> int:
    """Write everything, and say how much it was; more than is left of `max_bytes` is a 413."""
    written = 0
    with target.open("wb") as out:
        while piece := source.read(_STEP):
            written += len(piece)
            if written > left:
                raise too_large(max_bytes, "the scan, once unpacked,")
            out.write(piece)
    return written
