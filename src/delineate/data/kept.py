"""Arrays that stay in memory up to a budget of bytes."""

from threading import Lock
from typing import Any

import numpy as np

from delineate.data.store import StoredArray
from delineate.plan.main_memory import measure_memory

__all__ = ["Kept", "default_ram_gb"]

_SHARE = 1 / 8
_UNKNOWN_GB = 2.0


def default_ram_gb() -> float:
    """An eighth of the free main memory, within what our control group may use; else 2 GB."""
    memory = measure_memory()
    return _UNKNOWN_GB if memory is None else memory.free * _SHARE


class Kept:
    """Arrays by key: what is asked for stays until the budget is full, then nothing more.

    Nothing is thrown out: as every epoch visits each case once, the case that was used longest ago
    is the one that comes next. Safe to use from several threads; a pickled copy is empty.
    """

    def __init__(self, ram_gb: float) -> None:
        self.ram_gb = ram_gb
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
        self._room = int(ram_gb * 1e9)
        self._lock = Lock()

    def __reduce__(self) -> tuple[type["Kept"], tuple[float]]:
        return Kept, (self.ram_gb,)

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return int(self.ram_gb * 1e9) - self._room

    def get(self, key: tuple[str, str], stored: StoredArray) -> Any:
        """The array in memory where there is room for it, else the one on disk."""
        with self._lock:
            if key in self._arrays:
                return self._arrays[key]
            if stored.nbytes > self._room:
                return stored
            self._room -= stored.nbytes
        try:
            whole = stored[...,]
        except BaseException:
            with self._lock:
                self._room += stored.nbytes
            raise
        with self._lock:
            if key in self._arrays:
                self._room += stored.nbytes
            return self._arrays.setdefault(key, whole)
