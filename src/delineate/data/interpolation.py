"""Interpolation along one axis as a matrix: (new, old) weights, so that resampling is a product.

The outer edges of the volume stay where they are: new voxel i lies at (i + .5) * old / new - .5 on
the old axis, and beyond the border the outermost voxel goes on. This is what `scipy.ndimage.zoom`
does with `grid_mode=True, mode="nearest"`. The cubic B-spline is global: its prefilter is folded
into the matrix by one tridiagonal solution, and weights below single precision are dropped, which
leaves a narrow band.
"""

from functools import lru_cache
from math import prod
from typing import Literal

import numpy as np

__all__ = ["Kind", "apply", "used_columns", "weights"]

Kind = Literal["nearest", "linear", "cubic"]

# Twelve voxels beyond the border a spline coefficient has decayed to 1e-7 of its cause.
_MARGIN = 12
_NEGLIGIBLE = 1e-8
_BLOCK = 64


@lru_cache(maxsize=128)
def weights(old: int, new: int, kind: Kind) -> np.ndarray:
    """The (new, old) float32 matrix that resamples an axis of `old` voxels to `new`; read-only."""
    matrix = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}[kind](old, new)
    matrix[np.abs(matrix) < _NEGLIGIBLE] = 0
    matrix = matrix.astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def apply(array: np.ndarray, matrices: list[np.ndarray | None]) -> np.ndarray:
    """Multiply each of the last axes of a float32 array by its matrix; None leaves one alone."""
    first = array.ndim - len(matrices)
    todo = [
        (m.shape[0] / m.shape[1], first + i, m) for i, m in enumerate(matrices) if m is not None
    ]
    # Axes that shrink most come first: the others then have less to do.
    for _, axis, matrix in sorted(todo, key=lambda entry: entry[:2]):
        array = _multiply(array, axis, matrix)
    return array


def _multiply(array: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    """One matrix product, cut into blocks of rows so that only the band is multiplied."""
    new, old = matrix.shape
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    out = np.empty((*before, new, *after), np.float32)
    flat_in = np.ascontiguousarray(array).reshape(prod(before), old, prod(after))
    flat_out = out.reshape(prod(before), new, prod(after))
    for start in range(0, new, _BLOCK):
        rows = slice(start, min(start + _BLOCK, new))
        columns = used_columns(matrix[rows])
        part = matrix[rows, columns]
        if flat_in.shape[2] == 1:
            np.matmul(flat_in[:, columns, 0], part.T, out=flat_out[:, rows, 0])
        else:
            np.matmul(part, flat_in[:, columns], out=flat_out[:, rows])
    return out


def used_columns(rows: np.ndarray) -> slice:
    """The old voxels that some rows of a matrix need."""
    found = np.flatnonzero(rows.any(axis=0))
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1)


def _positions(old: int, new: int) -> np.ndarray:
    return (np.arange(new) + 0.5) * (old / new) - 0.5


def _nearest(old: int, new: int) -> np.ndarray:
    matrix = np.zeros((new, old))
    # Whole numbers: a position halfway between two voxels must not depend on rounding.
    source = (2 * np.arange(new) + 1) * old // (2 * new)
    matrix[np.arange(new), source] = 1
    return matrix


def _linear(old: int, new: int) -> np.ndarray:
    matrix = np.zeros((new, old))
    position = np.clip(_positions(old, new), 0, old - 1)
    left = np.floor(position).astype(int)
    rows = np.arange(new)
    np.add.at(matrix, (rows, left), 1 - (position - left))
    np.add.at(matrix, (rows, np.minimum(left + 1, old - 1)), position - left)
    return matrix


def _cubic(old: int, new: int) -> np.ndarray:
    coefficients = _spline_coefficients(old)
    position = _positions(old, new) + _MARGIN
    left = np.floor(position).astype(int)
    t = (position - left)[:, None]
    # The cubic B-spline at distances 1 + t, t, 1 - t and 2 - t.
    taps = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    terms = [tap * coefficients[left - 1 + i] for i, tap in enumerate(taps)]
    return np.sum(terms, axis=0)


def _spline_coefficients(old: int) -> np.ndarray:
    """(old + margins, old): spline coefficients of each unit impulse, its border drawn out.

    Solves c[i-1] + 4 c[i] + c[i+1] = 6 f[i], mirrored at both far ends, for all impulses at once.
    """
    size = old + 2 * _MARGIN
    right = np.zeros((size, old))
    right[np.arange(size), np.clip(np.arange(size) - _MARGIN, 0, old - 1)] = 6
    above = np.ones(size)
    above[0] = 2
    for i in range(size):
        below = 0 if i == 0 else (2 if i == size - 1 else 1)
        pivot = 4 - below * above[i - 1]
        above[i] /= pivot
        right[i] = (right[i] - below * right[i - 1]) / pivot
    for i in range(size - 2, -1, -1):
        right[i] -= above[i] * right[i + 1]
    return right
