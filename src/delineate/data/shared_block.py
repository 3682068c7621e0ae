"""Memory that several processes see; it has no name, so a process that dies leaves nothing."""

import os
from math import prod
from mmap import mmap
from tempfile import TemporaryFile

import numpy as np

from delineate.data.samples import Shapes

__all__ = ["arrays_in", "block_size", "open_block"]

_ALIGNMENT = 64


def open_block(size: int) -> int:
    """A descriptor of that many bytes, in memory where the system can, else a nameless file."""
    if hasattr(os, "memfd_create"):
        block = os.memfd_create("delineate")
    else:
        with TemporaryFile() as file:
            block = os.dup(file.fileno())
    os.ftruncate(block, size)
    return block


def block_size(shapes: Shapes) -> int:
    """Bytes that the arrays take one after the other."""
    return sum(_aligned(_bytes(*entry)) for entry in shapes.values())


def arrays_in(block: int, shapes: Shapes, *, count: int) -> list[dict[str, np.ndarray]]:
    """`count` sets of arrays, one after the other, that live in the block."""
    memory, offset = mmap(block, count * block_size(shapes)), 0
    sets: list[dict[str, np.ndarray]] = []
    for _ in range(count):
        arrays = {}
        for name, (shape, kind) in shapes.items():
            flat = np.frombuffer(memory, kind, count=prod(shape), offset=offset)
            arrays[name] = flat.reshape(shape)
            offset += _aligned(_bytes(shape, kind))
        sets.append(arrays)
    return sets


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    return prod(shape) * np.dtype(kind).itemsize


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
