"""One prepared case on disk: one file, complete or not there at all.

The file is an eight-byte signature, the place of an index, blosc2-compressed chunks, and the index:
one line of JSON with what is known of the case, and each array's type, shape, chunk shape and chunk
offsets. A chunk has about 32,000 voxels, so reading a patch unpacks little more than the patch. It
holds `image` (c, *s), `mask` (*s) or (k, *s), and `foreground` (n, 1 + d): channel and place of
sampled voxels.
A case's distances are a file of the same kind beside it.

Images are float16: eleven significant bits, a rounding of at most 0.05 % of a normalised value,
below the noise of any scanner. Where intensities are not normalised, or are too large, float32.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from io import FileIO
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io import atomic_path

__all__ = ["FORMAT", "Facts", "StoredArray", "StoredCase", "compact", "open_case", "write_case"]

FORMAT = 3
"""Raised by one whenever the file of a case changes its meaning."""

_SIGNATURE = b"DELINEAT"
_END = b"\n"
_CHUNK_VOXELS = 32768
_LARGEST_HALF = 60000
# Cases are packed, and patches are read, side by side already.
_ONE_THREAD: dict[str, Any] = {"nthreads": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a prepared case without its arrays."""

    shape: tuple[int, ...]
    """Spatial, on the plan's grid."""
    labelled: bool
    counts: Mapping[int, int]
    """Voxels of each present channel but background."""
    sampled: Mapping[int, int]
    """How many rows of the array `foreground` are of each, channels ascending."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredArray:
    """An array on disk; slicing reads the chunks needed. Safe to share between threads."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    offsets: np.ndarray
    """Where each chunk begins in the file, the first axis slowest, and where the last one ends."""

    @property
    def nbytes(self) -> int:
        """Bytes when unpacked."""
        return prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        """`array[..., a:b, c:d]`: slices with both ends inside the shape, of the last axes."""
        leading = len(self.shape) - len(index) + 1
        box = [(0, n) for n in self.shape[:leading]] + [(s.start, s.stop) for s in index[1:]]
        out = np.empty([stop - start for start, stop in box], self.dtype)
        touched = [
            range(start // size, ceil(stop / size))
            for (start, stop), size in zip(box, self.chunk, strict=True)
        ]
        try:
            with self.path.open("rb", buffering=0) as file:
                for place in product(*touched):
                    both = [_overlap(*axis) for axis in zip(box, place, self.chunk, strict=True)]
                    source, target = zip(*both, strict=True)
                    out[target] = self._read_chunk(file, place)[source]
        except (OSError, RuntimeError, ValueError) as error:
            raise _broken(self.path, error) from error
        return out

    def _read_chunk(self, file: FileIO, place: tuple[int, ...]) -> np.ndarray:
        import blosc2

        number = 0
        for position, n, size in zip(place, self.shape, self.chunk, strict=True):
            number = number * ceil(n / size) + position
        begin, end = self.offsets[number : number + 2]
        shape = [
            min(size, n - position * size)
            for position, n, size in zip(place, self.shape, self.chunk, strict=True)
        ]
        file.seek(begin)
        data = blosc2.decompress2(file.read(end - begin), **_ONE_THREAD)
        assert isinstance(data, bytes)
        return np.frombuffer(data, self.dtype).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase:
    """The index of one file."""

    facts: Facts
    arrays: Mapping[str, StoredArray]


def write_case(path: Path, arrays: Iterable[tuple[str, np.ndarray]], facts: Facts) -> None:
    """Write beside `path`, then rename: a file of that name is complete.

    Args:
        path: The file.
        arrays: Name and array, each written before the next is taken: all may not fit in memory.
        facts: What is known of the case.
    """
    entries = {}
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(_SIGNATURE + bytes(8))
        for name, array in arrays:
            chunk = _chunk_shape(array.shape)
            offsets = [file.tell()]
            for piece in _chunks(array, chunk):
                file.write(_packed(piece))
                offsets.append(file.tell())
            shape = {"shape": array.shape, "chunk": chunk, "offsets": offsets}
            entries[name] = {"dtype": array.dtype.str, **shape}
        place = file.tell()
        file.write(json.dumps({"facts": asdict(facts), "arrays": entries}).encode() + _END)
        file.seek(len(_SIGNATURE))
        file.write(place.to_bytes(8, "little"))


def open_case(path: Path) -> StoredCase:
    """The index of a file that `write_case` has written; a torn one is a DataError."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if head[:8] != _SIGNATURE:
                raise ValueError("it is no prepared case")
            file.seek(int.from_bytes(head[8:], "little"))
            text, end, _ = file.read().partition(_END)
        index = json.loads(text)
        if not end:
            raise ValueError("its end is missing")
        arrays = {name: _stored(path, entry) for name, entry in index["arrays"].items()}
        return StoredCase(facts=_facts(index["facts"]), arrays=arrays)
    except (OSError, ValueError, KeyError) as error:
        raise _broken(path, error) from error


def compact(image: np.ndarray, *, normalised: bool) -> np.ndarray:
    """The image as float16 where that is exact enough, else as it is."""
    largest = max(-float(image.min(initial=0)), float(image.max(initial=0)))
    return image.astype(np.float16) if normalised and largest < _LARGEST_HALF else image


def _chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """About `_CHUNK_VOXELS` voxels with long axes cut evenly; short axes are left whole."""
    long = [n for n in shape if n > 8]
    edge = round(_CHUNK_VOXELS ** (1 / max(1, len(long))))
    return tuple(n if n <= 8 else ceil(n / max(1, round(n / edge))) for n in shape)


def _chunks(array: np.ndarray, chunk: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Every chunk, the first axis slowest."""
    starts = [range(0, n, size) for n, size in zip(array.shape, chunk, strict=True)]
    for start in product(*starts):
        yield array[tuple(slice(a, a + size) for a, size in zip(start, chunk, strict=True))]


def _packed(part: np.ndarray) -> bytes:
    import blosc2

    # Its fastest level: packs at the speed of a disk, a quarter smaller than LZ4.
    options: dict[str, Any] = {
        "codec": blosc2.Codec.ZSTD,
        "clevel": 1,
        "filters": [blosc2.Filter.SHUFFLE],
        "typesize": part.itemsize,
    }
    packed = blosc2.compress2(np.ascontiguousarray(part), **options, **_ONE_THREAD)
    assert isinstance(packed, bytes)
    return packed


def _overlap(box: tuple[int, int], position: int, size: int) -> tuple[slice, slice]:
    """What a chunk and the box start..stop share along one axis: where in the chunk, in the box."""
    begin = position * size
    low, high = max(box[0], begin), min(box[1], begin + size)
    return slice(low - begin, high - begin), slice(low - box[0], high - box[0])


def _stored(path: Path, entry: dict[str, Any]) -> StoredArray:
    return StoredArray(
        path=path,
        dtype=np.dtype(entry["dtype"]),
        shape=tuple(entry["shape"]),
        chunk=tuple(entry["chunk"]),
        offsets=np.array(entry["offsets"]),
    )


def _facts(found: dict[str, Any]) -> Facts:
    return Facts(
        shape=tuple(found["shape"]),
        labelled=found["labelled"],
        counts={int(k): v for k, v in found["counts"].items()},
        sampled={int(k): v for k, v in found["sampled"].items()},
    )


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read ({error}). Fix: delete it; the case is then prepared again."
    )
