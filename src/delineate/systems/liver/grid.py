"""The grid that volumes are prepared on, and the way from there back to the scan.

A scan is resampled over its whole field of view, then laid in the middle of a volume of the asked
size; what is around it is padding. Nothing is ever stretched along one axis alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from delineate import io
from delineate.data.resample import resample, resample_mask
from delineate.geometry import Box, slices
from delineate.io.orient import canonical_header
from delineate.io.volume import spacing_of

__all__ = ["Grid"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Where a prepared volume lies in the scan that it was made of."""

    source: io.Grid
    """Of the scan's file, on the file's own axes."""
    shape: tuple[int, ...]
    """Of the prepared volume, in canonical axes."""
    box: Box
    """Where in the prepared volume the scan lies; the rest is padding."""

    @classmethod
    def plan(
        cls, source: io.Grid, *, spacing: tuple[float, ...], size: tuple[int, ...] | None
    ) -> "Grid":
        """The grid for a scan.

        Args:
            source: Of the scan's file.
            spacing: mm along each canonical axis.
            size: Voxels of the prepared volume: a scan that does not fit at that spacing gets a
                coarser one, by the same factor on every axis. None: as many as the scan takes.
        """
        header = _header(source)
        steps = [
            n * own / mm for n, own, mm in zip(header.shape, header.spacing, spacing, strict=True)
        ]
        if size is None:
            inner = tuple(max(1, round(step)) for step in steps)
            return cls(source=source, shape=inner, box=tuple((0, n) for n in inner))
        coarser = max(1.0, *(step / n for step, n in zip(steps, size, strict=True)))
        inner = [min(n, max(1, round(s / coarser))) for s, n in zip(steps, size, strict=True)]
        starts = [(n - own) // 2 for n, own in zip(size, inner, strict=True)]
        box = tuple((start, start + own) for start, own in zip(starts, inner, strict=True))
        return cls(source=source, shape=tuple(size), box=box)

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) of the prepared volume."""
        header = _header(self.source)
        ratio = [n / own for n, own in zip(header.shape, self._inner, strict=True)]
        step = np.diag([*ratio, 1.0])
        # The outer edges of the scan stay where they are: see delineate.data.interpolation.
        edges = zip(ratio, self.box, strict=True)
        step[:3, 3] = [(0.5 - start) * r - 0.5 for r, (start, _) in edges]
        return header.affine @ step

    @property
    def spacing(self) -> tuple[float, ...]:
        """mm along each axis of the prepared volume."""
        return spacing_of(self.affine, len(self.shape))

    @property
    def scan_shape(self) -> tuple[int, ...]:
        """Of the scan, in canonical axes."""
        return _header(self.source).shape

    @property
    def scan(self) -> io.Volume:
        """A stand-in for the scan, without its voxels: the `like` of `io.write_mask`."""
        header = _header(self.source)
        voxels = np.broadcast_to(np.uint8(0), (1, *header.shape))
        return io.Volume(array=voxels, affine=header.affine, source=self.source)

    @property
    def prepared(self) -> io.Volume:
        """A stand-in for the prepared volume, which is stored in canonical axes."""
        here = io.Grid(shape=self.shape, affine=self.affine)
        voxels = np.broadcast_to(np.uint8(0), (1, *self.shape))
        return io.Volume(array=voxels, affine=self.affine, source=here)

    def resample(self, image: np.ndarray) -> np.ndarray:
        """A canonical image (c, *scan_shape) at the prepared spacing, not yet padded, float32."""
        return resample(image, self._inner)

    def resample_mask(self, ids: np.ndarray) -> np.ndarray:
        """Canonical ids (*scan_shape) at the prepared spacing, not yet padded."""
        return resample_mask(ids, self._inner)

    def pad(self, array: np.ndarray, value: float) -> np.ndarray:
        """What `resample` or `resample_mask` gave, in the middle of the prepared volume."""
        if array.shape[-len(self.shape) :] == self.shape:
            return np.ascontiguousarray(array)
        lead = array.shape[: array.ndim - len(self.shape)]
        out = np.full((*lead, *self.shape), value, array.dtype)
        out[(..., *slices(self.box))] = array
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "source_shape": list(self.source.shape),
            "source_affine": self.source.affine.tolist(),
            "shape": list(self.shape),
            "box": [list(edge) for edge in self.box],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Grid":
        """What `to_json` wrote."""
        affine = np.array(data["source_affine"], np.float64)
        return cls(
            source=io.Grid(shape=tuple(data["source_shape"]), affine=affine),
            shape=tuple(data["shape"]),
            box=tuple((start, stop) for start, stop in data["box"]),
        )

    @property
    def _inner(self) -> tuple[int, ...]:
        return tuple(stop - start for start, stop in self.box)


def _header(source: io.Grid) -> io.Header:
    """Shape and affine of the scan in canonical axes."""
    return canonical_header(source, 1, np.dtype(np.float32))
