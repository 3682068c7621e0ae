"""Arrays of numpy from what a pickle says about them, without numpy's own unpickling.

An array is its shape, its type and its bytes; anything else, such as arrays of objects, is refused.
"""

import re
from typing import Any

import numpy as np

from delineate.engine.inert_pickle import Inert

__all__ = ["is_array", "to_array"]

_MODULES = ("numpy.core", "numpy._core")
_BUILT = {f"{module}.multiarray._reconstruct" for module in _MODULES}
_BUFFER = {f"{module}.numeric._frombuffer" for module in _MODULES}
_NUMBERS = re.compile(r"[biufc]\d{1,2}")


def is_array(value: Any) -> bool:
    """Whether this is an array of numpy, and not the bare name of what makes one."""
    called = isinstance(value, Inert) and value.arguments is not None
    return called and value.name in _BUILT | _BUFFER


def to_array(value: Inert) -> np.ndarray:
    """The array, which owns its numbers, in the byte order of this machine.

    One that is not of plain numbers is a ValueError.
    """
    if value.name in _BUFFER:
        assert value.arguments is not None, "is_array knows calls only"
        raw, dtype, shape, order = value.arguments
        fortran = order == "F"
    else:
        _version, shape, dtype, fortran, raw = value.state
    if not isinstance(raw, bytes | bytearray | str):
        raise ValueError("an array of objects")
    # Python 2 wrote bytes as text.
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    flat = np.frombuffer(raw, _dtype(dtype))
    array = flat.reshape(tuple(shape), order="F" if fortran else "C")
    return array.astype(flat.dtype.newbyteorder("="))


def _dtype(described: Any) -> np.dtype:
    """The type of plain numbers, in the byte order that was set on it."""
    name = described.arguments[0] if described.name == "numpy.dtype" else None
    if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
        raise ValueError("an array of something else than numbers")
    dtype = np.dtype(name)
    order = described.state[1] if described.state else "="
    return dtype.newbyteorder(order) if order in "<>" else dtype
