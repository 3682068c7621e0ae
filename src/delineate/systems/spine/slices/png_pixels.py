"""The pixels of a plain PNG by OpenCV, which decodes them a quarter faster than Pillow.

Only grey and RGB of 8 bits without transparency are taken; whatever else there is, or is wrong with
a file, is left to Pillow.
"""

import os
from functools import cache
from typing import Any

import numpy as np

__all__ = ["read_png"]

_BEGINS = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_CHANNELS = {0: 1, 2: 3}
"""By the colour type of the header."""
_ENDS = b"\x00\x00\x00\x00IEND\xaeB\x60\x82"


def read_png(path: str) -> np.ndarray | None:
    """(rows, columns[, 3]) uint8; None where Pillow is to read it."""
    opencv = _opencv()
    if opencv is None or not path.lower().endswith(".png"):
        return None
    try:
        with open(os.fspath(path), "rb") as file:  # noqa: PTH123 # a Path costs as much as a header
            stored = file.read()
    except OSError:
        return None
    # A file that was cut off has no end; OpenCV would show its beginning.
    if not stored.startswith(_BEGINS) or not stored.endswith(_ENDS) or b"tRNS" in stored[:4096]:
        return None
    depth, kind = stored[24], stored[25]
    if depth != 8 or kind not in _CHANNELS:
        return None
    pixels = opencv.imdecode(np.frombuffer(stored, np.uint8), opencv.IMREAD_UNCHANGED)
    shape = (int.from_bytes(stored[20:24]), int.from_bytes(stored[16:20]))
    wanted = shape if kind == 0 else (*shape, 3)
    if pixels is None or pixels.shape != wanted or pixels.dtype != np.uint8:
        return None
    return pixels if kind == 0 else opencv.cvtColor(pixels, opencv.COLOR_BGR2RGB)


@cache
def _opencv() -> Any:
    """OpenCV, which comes with albumentations; None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2
