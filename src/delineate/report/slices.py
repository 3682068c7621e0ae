"""All slices of a case for the page's viewer: one picture of tiles, and masks as packed bytes.

viewer.js cuts both along any plane. A large scan is cut to its structures and shrunk until it fits
a budget of bytes, so that the page opens fast however large the scans are.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from math import ceil, prod, sqrt
from typing import Any

import numpy as np

from delineate.labels import Labels
from delineate.report.overlays import web_picture
from delineate.report.view import Plane, View, code_type, planes_of

__all__ = ["pack_labels", "pack_slices"]

VOXELS = 1_600_000
"""What a case may have; a scan of more is cut to its structures first, then shrunk."""
BYTES = 700_000
"""What a case may take in the page."""
MARGIN_MM = 20.0
"""Shown around the structures of a scan that is cut."""
TILE = 16
"""Tiles fill whole blocks of the compression, so that neighbours do not bleed into each other."""
QUALITY = 78

Box = tuple[slice, ...]


def pack_labels(labels: Labels, colours: Mapping[str, str]) -> dict[str, Any]:
    """What viewer.js must know of the classes."""
    return {
        "names": [leaf.name for leaf in labels.leaves],
        "colours": [colours[leaf.name] for leaf in labels.leaves],
        "overlapping": labels.overlapping,
    }


def pack_slices(view: View) -> dict[str, Any]:
    """Plain data for viewer.js, smaller than the budget."""
    box = _box(view)
    voxels = VOXELS
    while True:
        factors = _factors(view, box, voxels)
        packed = _pack(view, box, factors)
        size = len(packed["sprite"]) + len(packed["truth"] or "")
        size += sum(len(mask) for mask in packed["predictions"].values())
        if size <= BYTES or max(_shape(box, factors)) <= 32:
            return packed
        voxels = min(voxels, prod(_shape(box, factors))) // 2


def _pack(view: View, box: Box, factors: Sequence[int]) -> dict[str, Any]:
    shape = _shape(box, factors)
    whole = shape if len(shape) == 3 else (*shape, 1)
    sprite, tile, columns = _sprite(view, box, factors)
    return {
        "id": view.id,
        "shape": whole,
        "sprite": sprite,
        "tile": tile,
        "tiles": columns,
        "bytes": np.dtype(_type(view)).itemsize,
        "truth": None if view.truth is None else _packed(view, view.truth, box, factors),
        "predictions": {
            name: _packed(view, mask, box, factors) for name, mask in view.predictions.items()
        },
        "planes": [_plane(view, plane, box, factors) for plane in planes_of(view)],
        "note": _note(view, box, factors),
    }


def _box(view: View) -> Box:
    """The whole scan, or the part around the structures of one that is too large."""
    full = tuple(slice(0, n) for n in view.shape)
    masks = [view.foreground(mask) for mask in view.masks()]
    if prod(view.shape) <= VOXELS or not any(mask.any() for mask in masks):
        return full
    found = np.logical_or.reduce(masks)
    sides = []
    for axis, (size, spacing) in enumerate(zip(view.shape, view.spacing, strict=True)):
        others = tuple(a for a in range(found.ndim) if a != axis)
        places = np.flatnonzero(found.any(axis=others))
        first, last = int(places[0]), int(places[-1]) + 1
        margin = max(ceil(MARGIN_MM / spacing), (last - first) // 4)
        sides.append(slice(max(0, first - margin), min(size, last + margin)))
    return tuple(sides)


def _factors(view: View, box: Box, voxels: int) -> list[int]:
    """How many voxels become one along each axis, the finest axis first."""
    factors = [1] * len(box)
    sides = [side.stop - side.start for side in box]
    while prod(_shape(box, factors)) > voxels:
        left = [a for a in range(len(box)) if factors[a] < sides[a]]
        factors[min(left, key=lambda axis: view.spacing[axis] * factors[axis])] += 1
    return factors


def _shape(box: Box, factors: Sequence[int]) -> tuple[int, ...]:
    sides = zip(box, factors, strict=True)
    return tuple(max(1, (side.stop - side.start) // factor) for side, factor in sides)


def _sprite(view: View, box: Box, factors: Sequence[int]) -> tuple[str, tuple[int, int], int]:
    """The slices along the last axis side by side: the picture, a tile's size, tiles in a row."""
    count = 3 if view.is_colour else 1
    means = np.stack([_means(channel[box], factors) for channel in view.image[:count]], axis=-1)
    pixels = means.astype(np.uint8) if view.is_colour else view.grey(means)
    pixels = pixels if len(box) == 3 else pixels[:, :, None]
    rows, wide, number, _ = pixels.shape
    tile = ceil(rows / TILE) * TILE, ceil(wide / TILE) * TILE
    padding = (0, tile[0] - rows), (0, tile[1] - wide), (0, 0), (0, 0)
    pixels = np.pad(pixels, padding, mode="edge")
    columns = max(1, round(sqrt(number * tile[0] / tile[1])))
    lines = ceil(number / columns)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, lines * columns - number), (0, 0)))
    sheet = pixels.reshape(*tile, lines, columns, count).transpose(2, 0, 3, 1, 4)
    sheet = sheet.reshape(lines * tile[0], columns * tile[1], count)
    return web_picture(sheet if count == 3 else sheet[..., 0], quality=QUALITY), tile, columns


def _means(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """The mean of each block of voxels, without a float copy of the whole scan."""
    shape = tuple(max(1, n // f) for n, f in zip(array.shape, factors, strict=True))
    total = np.zeros(shape, np.float32)
    for shift in np.ndindex(*factors):
        total += array[_every(shift, shape, factors)]
    return total / prod(factors)


def _every(first: Sequence[int], shape: Sequence[int], factors: Sequence[int]) -> Box:
    """One voxel of each block."""
    sides = zip(first, shape, factors, strict=True)
    return tuple(slice(start, start + n * f, f) for start, n, f in sides)


def _packed(view: View, mask: np.ndarray, box: Box, factors: Sequence[int]) -> str:
    """The voxel in the middle of each block; eight overlapping classes share a byte."""
    middle = _every([f // 2 for f in factors], _shape(box, factors), factors)
    codes = mask[(slice(None), *box)][(slice(None), *middle)]
    if view.labels.overlapping:
        codes = np.packbits(codes != 0, axis=0, bitorder="little")
    else:
        codes = codes.astype(_type(view).newbyteorder("<"))
    packed = zlib.compress(np.ascontiguousarray(codes).tobytes(), 9)
    return base64.b64encode(packed).decode("ascii")


def _type(view: View) -> np.dtype:
    return np.dtype(np.uint8 if view.labels.overlapping else code_type(view.labels))


def _plane(view: View, plane: Plane, box: Box, factors: Sequence[int]) -> dict[str, Any]:
    """Where the voxels of its slices lie in the packed bytes: a start, and a step each way."""
    shape = _shape(box, factors)
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    size = [view.spacing[a] * factors[a] * shape[a] for a in (plane.across, plane.up)]
    # Of volumes, both axes run against the eye: from right to left, and from top to bottom.
    way = 1 if plane.axis is None else -1
    axes = plane.across, plane.up
    place = 0
    if plane.axis is not None:
        place = (view.fullest(plane) - box[plane.axis].start) // factors[plane.axis]
        place = min(max(place, 0), shape[plane.axis] - 1)
    return {
        "name": plane.name,
        "letters": plane.letters,
        "columns": shape[plane.across],
        "rows": shape[plane.up],
        "slices": 1 if plane.axis is None else shape[plane.axis],
        "start": 0 if way > 0 else sum((shape[a] - 1) * strides[a] for a in axes),
        "column": way * strides[plane.across],
        "row": way * strides[plane.up],
        "slice": 0 if plane.axis is None else strides[plane.axis],
        "wide": round(size[0] / size[1], 4),
        "place": place,
    }


def _note(view: View, box: Box, factors: Sequence[int]) -> str:
    """What was left out to keep the page small."""
    parts = []
    if any(f > 1 for f in factors):
        parts.append(f"Blocks of {'x'.join(map(str, factors))} voxels are shown as one.")
    if _shape(box, [1] * len(box)) != view.shape:
        parts.append("Only the structures and what surrounds them are shown.")
    return " ".join(parts)
