"""The safe repairs of one scan or mask; what cannot be repaired without guessing is Hopeless."""

from collections.abc import Collection

import numpy as np

from delineate.datasets.alignment import misfit
from delineate.io import Volume, to_source
from delineate.io.mask import TOLERANCE
from delineate.labels import Labels

__all__ = ["Hopeless", "Note", "align", "fill", "mend_values"]

Note = tuple[str, str]
"""The kind of finding that was mended, and what was done."""

_NEAR = 0.25
"""With several classes, values farther than this from an integer may be a blend of two classes."""
_HALF = 128


class Hopeless(Exception):
    """Repairing would be guessing: the case is left out."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def fill(array: np.ndarray, *, name: str) -> tuple[np.ndarray, list[Note]]:
    """Fill NaN and -Inf of (c, *s) with the minimum of their channel, +Inf with its maximum."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array, []
    filled, notes = array.copy(), []
    for index, channel in enumerate(filled):
        finite = np.isfinite(channel)
        if finite.all():
            continue
        if not finite.any():
            raise Hopeless("not-finite", f"no voxel of {name} is finite")
        low, high = float(channel[finite].min()), float(channel[finite].max())
        filled[index] = np.nan_to_num(channel, nan=low, neginf=low, posinf=high)
        count = int(channel.size - finite.sum())
        text = f"{count} NaN or infinite voxels of {name} set to {low:g} (+Inf to {high:g})"
        notes.append(("not-finite", text))
    return filled, notes


def mend_values(
    array: np.ndarray, kinds: Collection[str], *, only: int | None, labels: Labels | None
) -> tuple[np.ndarray, list[Note]]:
    """Whole, declared values for a mask (c, *s).

    Args:
        kinds: What the examination found in this case.
        only: The id of the single class, where there is just one; None otherwise.
        labels: What is declared, if anything.
    """
    notes: list[Note] = []
    bad = ~np.isfinite(array)
    if bad.any():
        array = np.where(bad, 0, array)
        notes.append(("not-finite", f"{int(bad.sum())} NaN or infinite label voxels set to 0"))
    array = _rounded(array, notes, only=only)
    if "blurred-mask" in kinds:
        array = _thresholded(array, notes, only=only)
    values = {int(v) for v in np.unique(array)} - {0}
    if only is not None and values == {255} and only != 255:
        array = np.where(array == 255, only, 0)
        notes.append((_kind_of_255(kinds), f"label value 255 set to {only}"))
        values = {only}
    odd = sorted(values - _allowed(labels)) if labels else sorted(v for v in values if v < 0)
    if odd:
        what = ", ".join(map(str, odd[:8]))
        raise Hopeless("undeclared-value", f"what its label values {what} mean cannot be told")
    return array, notes


def align(volume: Volume, target: Volume, *, name: str) -> tuple[np.ndarray, list[Note]]:
    """The voxels of `volume`, canonical axes of `target`, where only the header may be wrong.

    That is so for corners up to one voxel apart, and for a header that says nothing (the identity).
    """
    difference = misfit(target, volume, name="the image")
    if difference is None:
        return volume.array, []
    if difference.kind == "shape-mismatch":
        raise Hopeless("shape-mismatch", f"{name} {difference.text}")
    kind = difference.kind
    if difference.voxels <= 1:
        size = f"{difference.mm:.3g} mm ({difference.voxels:.3g} voxels)"
        text = f"{name} given the image's header, from which its own was {size} off"
        return volume.array, [(kind, text)]
    placeless = np.array_equal(volume.source.affine, np.eye(4))
    if placeless and volume.source.shape == target.source.shape:
        text = f"{name} given the image's header: its own says nothing (identity)"
        return _by_index(volume, target), [(kind, text)]
    raise Hopeless(kind, f"{name} {difference.text}: which header is right cannot be told")


def _by_index(volume: Volume, target: Volume) -> np.ndarray:
    """The voxels of one file under the axes of another that stores an array of the same shape."""
    stored = to_source(volume.array, volume)
    order = to_source(np.arange(np.prod(target.shape)).reshape(target.shape), target)
    moved = np.empty((len(volume.array), order.size), volume.array.dtype)
    moved[:, order.ravel()] = stored.reshape(len(stored), -1)
    return moved.reshape(len(stored), *target.shape)


def _rounded(array: np.ndarray, notes: list[Note], *, only: int | None) -> np.ndarray:
    if array.dtype.kind != "f":
        return array
    whole = np.rint(array)
    apart = np.abs(array - whole)
    off = int((apart > TOLERANCE).sum())
    if off:
        far = float(apart.max())
        if only is None and far > _NEAR:
            text = (
                f"its label has values {far:.2g} from an integer, which may be a blend of classes"
            )
            raise Hopeless("float-label", text)
        notes.append(("float-label", f"{off} label voxels rounded, by up to {far:.3g}"))
    return whole.astype(np.int64)


def _thresholded(array: np.ndarray, notes: list[Note], *, only: int | None) -> np.ndarray:
    if only is None:
        text = "its mask is blurred, and with several classes the values cannot be told apart"
        raise Hopeless("blurred-mask", text)
    notes.append(("blurred-mask", f"label values from {_HALF} on set to {only}, others to 0"))
    return np.where(array >= _HALF, only, 0)


def _kind_of_255(kinds: Collection[str]) -> str:
    return "mixed-values" if "mixed-values" in kinds else "undeclared-value"


def _allowed(labels: Labels) -> set[int]:
    declared = {leaf.id for leaf in labels.leaves} | {labels.ignore}
    return {value for value in declared if value is not None}
