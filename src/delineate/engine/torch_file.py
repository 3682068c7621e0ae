"""Files of torch.save: what they hold, read without running anything, and their tensors.

Two forms are read: the zip archive since PyTorch 1.6 (`data.pkl` and one record per storage), which
torch.jit.save writes as well, and the plain file before it (several pickles, then the numbers).
"""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from os import SEEK_CUR
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from delineate.engine.inert_array import to_array
from delineate.engine.inert_pickle import Inert, StoredTensor, read_pickle, read_with_storages
from delineate.errors import DataError

__all__ = ["load_tensors", "read_outline"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PREFACE = 3
"""Pickles before the content of a plain file: magic number, version, facts of the system."""
_BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, OSError, RuntimeError, EOFError),
    *(OverflowError, MemoryError, struct.error, zipfile.BadZipFile),
)
"""What reading bytes that were not written by PyTorch can raise."""
_NEWER = {
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
}
"""Types without a kind of storage of their own."""
_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_outline(path: Path) -> Any:
    """Containers, numbers and texts of the file; tensors as StoredTensor, all else as Inert."""
    with _readable(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return read_pickle(archive.open(_record(archive, "data.pkl")))
        with path.open("rb") as file:
            return _plain_outline(file)[0]


def load_tensors(path: Path, described: Mapping[str, StoredTensor | Inert]) -> dict[str, Tensor]:
    """The tensors, and the arrays of numpy, that `read_outline` described, with their numbers."""
    with _readable(path):
        # One tensor under two names stays one.
        stored = {v for v in described.values() if isinstance(v, StoredTensor)}
        types = {tensor.storage.key: _type(tensor.storage.kind) for tensor in stored}
        read = _read_zipped if zipfile.is_zipfile(path) else _read_plain
        numbers = read(path, types) if types else {}
        made: dict[StoredTensor | Inert, Tensor] = {
            tensor: _view(numbers[tensor.storage.key], tensor) for tensor in stored
        }
        left = path.stat().st_size
        for array in {v for v in described.values() if isinstance(v, Inert)}:
            made[array] = torch.from_numpy(to_array(array))
            left -= made[array].nbytes
            if left < 0:
                raise ValueError("its arrays are larger than the file")
        return {name: made[value] for name, value in described.items()}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever is wrong with the bytes of a file becomes one DataError."""
    try:
        yield
    except _BROKEN as error:
        raise DataError(f"{path}: not a readable file of torch.save ({error}).") from None


def _view(numbers: Tensor, tensor: StoredTensor) -> Tensor:
    """The tensor as a piece of its storage; one that reaches beyond it is refused by PyTorch."""
    numbers = numbers if tensor.kind is None else numbers.view(_named_type(tensor.kind))
    if prod(tensor.size) > numbers.numel():
        raise ValueError(f"a tensor of the size {tensor.size} has {numbers.numel()} numbers")
    begin = tensor.storage.begin + tensor.offset
    return torch.as_strided(numbers, tensor.size, tensor.stride, begin)


def _type(kind: str) -> torch.dtype:
    if kind == "UntypedStorage":
        return torch.uint8
    if kind not in _TYPES:
        raise ValueError(f"tensors of the kind {kind} are not understood")
    return _TYPES[kind]


def _named_type(name: str) -> torch.dtype:
    found = getattr(torch, name.rpartition(".")[2], None)
    if found not in (*_TYPES.values(), *_NEWER):
        raise ValueError(f"tensors of the type {name} are not understood")
    return found


def _numbers(raw: bytes, dtype: torch.dtype) -> Tensor:
    # Writable memory: PyTorch warns of any other.
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)


def _record(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A record of the archive, whatever its outer folder is called.

    PyTorch compresses nothing; an archive that does could unfold to any size.
    """
    for info in archive.infolist():
        if info.filename.partition("/")[2] == name:
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("its records are compressed")
            return info
    raise ValueError(f"it has no {name}")


def _read_zipped(path: Path, types: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        names = {info.filename.partition("/")[2] for info in archive.infolist()}
        if "byteorder" in names and archive.read(_record(archive, "byteorder")) != b"little":
            raise ValueError("it was written on a big-endian machine")
        records = {key: _record(archive, f"data/{key}") for key in types}
        # Records may overlap.
        if sum(record.file_size for record in records.values()) > path.stat().st_size:
            raise ValueError("its records are larger than the file")
        return {key: _numbers(archive.read(records[key]), dtype) for key, dtype in types.items()}


def _plain_outline(file: IO[bytes]) -> tuple[Any, dict[str, str]]:
    """The content of a plain file and the kinds of its storages; the stream then stands behind."""
    if read_pickle(file) != _MAGIC:
        raise ValueError("the mark of PyTorch at its beginning is missing")
    for _ in range(_PREFACE - 1):
        read_pickle(file)
    return read_with_storages(file)


def _read_plain(path: Path, wanted: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
    """The numbers follow the content: for each storage their count, then themselves."""
    found = {}
    with path.open("rb") as file:
        _, kinds = _plain_outline(file)
        for key in map(str, read_pickle(file)):
            (count,) = struct.unpack("<q", file.read(8))
            size = count * _type(kinds[key]).itemsize
            if size < 0:
                raise ValueError("a storage of fewer than no numbers")
            if key in wanted:
                found[key] = _numbers(file.read(size), wanted[key])
            else:
                file.seek(size, SEEK_CUR)
    return found
