"""What the allocators of main memory and of the card keep of what is freed.

A window, or a training step, needs the blocks that the one before it has freed: given back to the
system in between, each 4 kB of them would cost a page fault.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "TRAINED",
    "freed_memory_kept",
    "give_back",
    "join_splinters",
    "keep_freed_memory",
    "zeros",
]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_AS_GLIBC_ADAPTS = 32 << 20
"""The most that glibc raises the threshold to by itself."""
_SPLINTERS, _KEPT_BY_A_THREAD = range(24, 260, 16), 7
"""Bytes of blocks, and how many of each size glibc keeps per thread."""
_LARGE = 8 << 20


TRAINED = 128 << 20
"""Bytes from which on a training keeps no freed block. Whatever needs such blocks computes for so
long on each that page faults hardly count, while blocks of many sizes, all kept, leave holes: a
step of SADAAN peaks at 3.1 GB instead of 3.7 and takes 5 % longer."""

_limits: list[int] = []
"""Of all who want freed memory to be kept: the setting is one for the whole process."""


def keep_freed_memory(*, below: int = _NEVER) -> None:
    """From here on, freed blocks of fewer bytes are kept. Only glibc can do so."""
    _limits.append(below)
    _set_thresholds(mapped=max(_limits), trimmed=_NEVER)


@contextmanager
def freed_memory_kept(*, below: int = _NEVER) -> Iterator[None]:
    """While active, what a network frees is kept for its next window; then it is given back.

    What is freed afterwards is still kept where someone else wants that, such as a training that
    has stopped to predict.
    """
    keep_freed_memory(below=below)
    try:
        yield
    finally:
        _limits.remove(below)
        if _limits:
            _set_thresholds(mapped=max(_limits), trimmed=_NEVER)
        else:
            _set_thresholds(mapped=_AS_GLIBC_ADAPTS, trimmed=2 * _AS_GLIBC_ADAPTS)
        give_back(torch.device("cpu"))


def give_back(device: torch.device) -> None:
    """Give back what the allocators of main memory and of the device keep for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def join_splinters(block: Tensor) -> None:
    """Make room where a large block is that is about to be freed, so that the next one fits there.

    PyTorch's blocks are aligned: a splinter is split off from each and freed. As long as glibc
    keeps the splinter for its thread, it does not join the freed block again, which is then too
    small by these few bytes for the next window: up to seven windows would lie side by side. Taking
    twice as many splinters as a thread keeps and freeing the latest first leaves it with others.
    Without it, `bench/sliding.py` peaks at 1.4 GB with 32 classes.
    """
    malloc, free = _of_glibc("malloc"), _of_glibc("free")
    if malloc is None or free is None or block.device.type != "cpu" or block.nbytes < _LARGE:
        return
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free.restype, free.argtypes = None, [ctypes.c_void_p]
    taken = [malloc(size) for size in _SPLINTERS for _ in range(2 * _KEPT_BY_A_THREAD)]
    for splinter in reversed(taken):
        free(splinter)


def zeros(shape: tuple[int, ...], kind: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of zeros; in main memory one of its own pages, large ones where the system has them.

    Such pages are gone as soon as the tensor is, whatever the allocator keeps.
    """
    size = prod(shape)
    if device.type != "cpu" or size == 0:
        return torch.zeros(shape, dtype=kind, device=device)
    # Shared pages, Python's default, are never large.
    own = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, size * kind.itemsize, **own)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=kind).view(shape)


def _set_thresholds(*, mapped: int, trimmed: int) -> None:
    """From how many bytes on a block gets pages of its own, and a free end is given back."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, mapped)
        mallopt(_M_TRIM_THRESHOLD, trimmed)


def _of_glibc(name: str) -> Any:
    """A function of the C library; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
