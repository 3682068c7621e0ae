"""Surface elements: where a surface runs between voxels, and how large a piece of it is there.

Around each corner where voxels meet lie 2x2x2 voxels (2x2 in pictures). Where some, but not all of
them are of a class, its surface passes: the element is the piece that marching cubes puts there
(Lorensen and Cline 1987), half-way between the voxels' centres, and its area in mm2 (length in mm)
is its weight. So a surface weighs the same however the voxels are cut, which voxel counts do not.

Of five to eight voxels, the others decide; voxels that share no face are separate pieces. With the
areas S = (s1 s2, s0 s2, s0 s1) of a voxel's sides, W_a the length of S without its entry a, and |S|
its length, a piece around

    1 voxel                      has |S| / 8
    2 along axis a                   W_a / 2
    3 in a plane across a            S_a / 2 + 3 |S| / 8
    4 in a plane across a            S_a
    4 around one                     3 |S| / 4
    4 in a row, first along a,       |S| / 2 + (W_a + W_b) / 4
      last along b
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from delineate.metrics.outline import chunks, split

__all__ = ["element_sizes", "surface_elements"]

Corner = tuple[int, ...]


def surface_elements(
    image: np.ndarray, spacing: tuple[float, ...]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By number: the corners where its surface passes, as flat indices, and the sizes there.

    A corner has the index of the voxel behind it along every axis. The image comes with a margin of
    zeros; 0 has no surface.
    """
    flat = image.ravel()
    strides = np.array(image.strides) // image.itemsize
    back = np.array([np.dot(corner, strides) for corner in _corners(image.ndim)])
    found = [_mixed(flat, back, start, stop) for start, stop in chunks(flat.size, int(back.max()))]
    points, numbers, codes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    sizes = element_sizes(spacing)
    return {
        number: (points_of, sizes[codes_of])
        for number, points_of, codes_of in split(numbers, points, codes)
    }


def element_sizes(spacing: tuple[float, ...]) -> np.ndarray:
    """mm2 (mm in pictures) of a surface by the code of the voxels around: bit i is corner i.

    Corners are counted as `itertools.product((0, 1), ...)` does.
    """
    if len(spacing) == 2:
        basis = np.array([np.linalg.norm(spacing), *spacing])
    else:
        sides = np.prod(spacing) / np.asarray(spacing)
        without = [np.linalg.norm(np.delete(sides, axis)) for axis in range(3)]
        basis = np.array([np.linalg.norm(sides), *sides, *without])
    return _shares(len(spacing)) @ basis


def _mixed(
    flat: np.ndarray, back: np.ndarray, start: int, stop: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners between different numbers, once for each number there but 0, with its code."""
    own = flat[start:stop]
    mixed = np.zeros(own.shape, bool)
    other = np.empty(own.shape, bool)
    for step in back[1:]:
        mixed |= np.not_equal(own, flat[start - step : stop - step], out=other)
    points = np.flatnonzero(mixed) + start
    around = [flat.take(points - step) for step in back]
    found = []
    for i, number in enumerate(around):
        # Each number is taken where it comes first.
        fresh = number > 0
        for earlier in around[:i]:
            fresh &= number != earlier
        chosen = np.flatnonzero(fresh)
        found.append((points[chosen], number[chosen], _codes(around, number, chosen)))
    points, numbers, codes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return points, numbers, codes


def _codes(around: list[np.ndarray], number: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Which of the voxels around the chosen corners are of the same number, as bits."""
    own = number[chosen]
    code = np.zeros(len(chosen), np.uint8)
    for bit, other in enumerate(around):
        code |= (other.take(chosen) == own).view(np.uint8) << np.uint8(bit)
    return code


def _corners(dims: int) -> list[Corner]:
    return list(product((0, 1), repeat=dims))


@lru_cache(maxsize=2)
def _shares(dims: int) -> np.ndarray:
    """(codes, basis): how much of each area of the basis is in the surface of a code."""
    corners = _corners(dims)
    width = 3 if dims == 2 else 7
    table = np.zeros((1 << len(corners), width))
    for code in range(1, len(table) - 1):
        inside = [corner for i, corner in enumerate(corners) if code >> i & 1]
        if 2 * len(inside) > len(corners):
            inside = [corner for corner in corners if corner not in inside]
        for piece in _pieces(inside):
            table[code] += _flat_piece(piece) if dims == 2 else _piece(piece)
    return table


def _pieces(inside: list[Corner]) -> list[list[Corner]]:
    """The corners in groups that hang together by edges of the cube."""
    pieces: list[list[Corner]] = []
    for corner in inside:
        joined = [p for p in pieces if any(_axis(corner, other) is not None for other in p)]
        pieces = [p for p in pieces if p not in joined]
        pieces.append([corner, *(other for piece in joined for other in piece)])
    return pieces


def _flat_piece(piece: list[Corner]) -> np.ndarray:
    """Shares of (diagonal, s0, s1)."""
    if len(piece) == 1:
        return np.array((0.5, 0, 0))
    return np.array((0, *np.eye(2)[_axis(*piece) or 0]))


def _piece(piece: list[Corner]) -> np.ndarray:
    """Shares of (|S|, S_0, S_1, S_2, W_0, W_1, W_2)."""
    whole, side, without = np.zeros(1), np.zeros(3), np.zeros(3)
    axes = [_axis(a, b) for i, a in enumerate(piece) for b in piece[:i]]
    along = [axis for axis in axes if axis is not None]
    across = [axis for axis in range(3) if axis not in along]
    if len(piece) == 1:
        whole[0] = 1 / 8
    elif len(piece) == 2:
        without[along] = 1 / 2
    elif len(piece) == 3:
        whole[0], side[across] = 3 / 8, 1 / 2
    elif across:
        side[across] = 1
    elif any(sum(_axis(a, b) is not None for b in piece) == 3 for a in piece):
        whole[0] = 3 / 4
    else:
        whole[0] = 1 / 2
        without[_ends(piece)] = 1 / 4
    return np.concatenate((whole, side, without))


def _ends(row: list[Corner]) -> list[int]:
    """The axes of the first and the last step of four corners in a row."""
    near = {a: [axis for b in row if (axis := _axis(a, b)) is not None] for a in row}
    return [axes[0] for axes in near.values() if len(axes) == 1]


def _axis(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The axis of the edge between two corners; None where there is no edge."""
    apart = [axis for axis, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return apart[0] if len(apart) == 1 else None
