"""What is done to a mask after the network: components are removed, holes are filled.

A step sees one class as the union of all voxels that belong to it, its children included; without
a class, all labelled structures as one. What is removed becomes background (where classes overlap:
leaves the layers of that class). What is filled was background in all classes (where they overlap:
in that class) and gets the id, or the layer, that most of the hole's border has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from delineate.errors import DataError
from delineate.geometry import Box, bounding_box, slices
from delineate.labels import Labels

__all__ = [
    "FillHoles",
    "KeepLargest",
    "RemoveSmall",
    "Step",
    "apply_steps",
    "steps_from_json",
    "steps_to_json",
]

Neighbours = Literal["faces", "edges", "corners"]
"""Which voxels touch: over faces (6 in a volume, 4 in a picture), edges too (18, 8), or corners
too (26, 8)."""
_RANK = {"faces": 1, "edges": 2, "corners": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLargest:
    """Only the component with the most voxels stays; between equals the first in array order."""

    label: str | None = None
    """A class of any rank; None takes all structures as one."""
    neighbours: Neighbours = "corners"
    name: ClassVar[str] = "keep_largest"

    def __post_init__(self) -> None:
        _check_neighbours(self.neighbours)

    def __str__(self) -> str:
        return f"keep the largest component of {_named(self.label)} ({self.neighbours} touch)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSmall:
    """Components smaller than `smallest` go."""

    smallest: float
    unit: Literal["mm3", "voxels"] = "mm3"
    """In pictures, mm3 means mm2."""
    label: str | None = None
    """A class of any rank; None takes all structures as one."""
    neighbours: Neighbours = "corners"
    name: ClassVar[str] = "remove_small"

    def __post_init__(self) -> None:
        _check_neighbours(self.neighbours)
        if self.unit not in ("mm3", "voxels"):
            raise ValueError(f"unit is mm3 or voxels, not {self.unit!r}")
        if not self.smallest > 0:
            raise ValueError(f"smallest must be above 0, got {self.smallest}")

    def __str__(self) -> str:
        return (
            f"remove components of {_named(self.label)} below {self.smallest:g} {self.unit} "
            f"({self.neighbours} touch)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FillHoles:
    """Background that the class encloses on all sides becomes part of it."""

    label: str | None = None
    """A class of any rank; None takes all structures as one."""
    neighbours: Neighbours = "faces"
    """Of the background: a gap over an edge or a corner opens a hole only if that counts."""
    name: ClassVar[str] = "fill_holes"

    def __post_init__(self) -> None:
        _check_neighbours(self.neighbours)

    def __str__(self) -> str:
        return f"fill the holes of {_named(self.label)} ({self.neighbours} touch)"


Step = KeepLargest | RemoveSmall | FillHoles
_KINDS: dict[str, type[Step]] = {kind.name: kind for kind in (KeepLargest, RemoveSmall, FillHoles)}


def apply_steps(
    mask: np.ndarray, steps: Sequence[Step], labels: Labels, spacing: Sequence[float]
) -> np.ndarray:
    """The mask after all steps, which is changed in place: (*s) ids, or (k, *s) 0/1 layers.

    Args:
        mask: As it lies in a file, one spatial axis per entry of `spacing`.
        steps: A class that `labels` do not have is a DataError.
        labels: What the numbers in the mask mean.
        spacing: mm along each spatial axis.
    """
    check_steps(steps, labels)
    boxes: dict[int, Box] | None = None
    for step in steps:
        if step.label is None:
            box = bounding_box(find_region(mask, None, labels))
        else:
            boxes = boxes or find_boxes(mask, labels)
            box = box_of(step.label, labels, boxes)
        if box is None:
            continue
        inside = mask[(..., *slices(box))]
        region = find_region(inside, step.label, labels)
        if isinstance(step, FillHoles):
            _fill(inside, region, step, labels)
            # What was filled may lie beyond the box of the id that it got.
            boxes = None
        else:
            gone = find_removed(region, step, voxel=float(np.prod(spacing)))
            _remove(inside, gone, step.label, labels)
    return mask


def check_steps(steps: Sequence[Step], labels: Labels) -> None:
    """Every class that a step names is there; else a DataError."""
    for step in steps:
        if step.label is not None and step.label not in labels.names:
            raise DataError(
                f"post-processing '{step.name}' names the unknown class '{step.label}'. "
                f"Known are: {', '.join(labels.names)}."
            )


def find_region(mask: np.ndarray, label: str | None, labels: Labels) -> np.ndarray:
    """(*s) true where a class is, its children included; None means any class."""
    if labels.overlapping:
        layers = range(len(mask)) if label is None else labels.members(label)
        return np.logical_or.reduce([mask[layer] != 0 for layer in layers])
    if label is None:
        region = mask != 0
        return region if labels.ignore is None else region & (mask != labels.ignore)
    first, *others = _ids(label, labels)
    region = mask == first
    for other in others:
        region |= mask == other
    return region


def find_boxes(mask: np.ndarray, labels: Labels) -> dict[int, Box]:
    """The box of each class with an id that the mask has, by its channel, in one look at all ids.

    A box that was found before voxels were removed still holds what is left.
    """
    if labels.overlapping:
        boxes = ((layer, bounding_box(voxels != 0)) for layer, voxels in enumerate(mask))
        return {layer: box for layer, box in boxes if box is not None}
    from scipy import ndimage

    places = ndimage.find_objects(mask, max_label=max(leaf.id or 0 for leaf in labels.leaves))
    found = {}
    for channel, leaf in enumerate(labels.leaves, 1):
        place = places[leaf.id - 1] if leaf.id else None
        if place is not None:
            found[channel] = tuple((s.start, s.stop) for s in place)
    return found


def box_of(label: str, labels: Labels, *known: Mapping[int, Box]) -> Box | None:
    """The box around a class of any rank, from what `find_boxes` says of one mask or of several."""
    members = labels.members(label)
    found = [boxes[member] for boxes in known for member in members if member in boxes]
    if not found:
        return None
    return tuple((min(a for a, _ in e), max(b for _, b in e)) for e in zip(*found, strict=True))


def find_removed(
    region: np.ndarray, step: KeepLargest | RemoveSmall, *, voxel: float
) -> np.ndarray:
    """(*s) true where the step removes a region; `voxel` is the volume of one in mm3."""
    parts, sizes = components(region, step.neighbours)
    if len(sizes) == 0:
        return np.zeros_like(region)
    if isinstance(step, KeepLargest):
        gone = np.arange(len(sizes)) != int(np.argmax(sizes))
    else:
        gone = sizes * (voxel if step.unit == "mm3" else 1.0) < step.smallest
    # Component 0 is what does not belong to the region.
    return np.concatenate(([False], gone))[parts]


def components(region: np.ndarray, neighbours: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """Each voxel's component, from 1 on and 0 outside, and how many voxels each has."""
    parts, number = _label(region, neighbours)
    return parts, np.bincount(parts.ravel(), minlength=number + 1)[1:]


def find_holes(region: np.ndarray, neighbours: Neighbours) -> tuple[np.ndarray, int]:
    """Each hole's number, from 1 on and 0 elsewhere, and how many there are."""
    # One empty voxel all around: what is connected to it is outside.
    parts, number = _label(~np.pad(region, 1), neighbours)
    outside = parts[(0,) * parts.ndim]
    is_hole = np.arange(number + 1) != outside
    is_hole[0] = False
    renumbered = np.where(is_hole, np.cumsum(is_hole), 0).astype(parts.dtype)
    return renumbered[parts[(slice(1, -1),) * parts.ndim]], int(is_hole.sum())


def steps_to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Plain data that `steps_from_json` reads back."""
    return [{"step": step.name, **asdict(step)} for step in steps]


def steps_from_json(data: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps that `steps_to_json` wrote; a kind, a key or a value that is unknown: DataError."""
    steps = []
    for number, entry in enumerate(data):
        given = dict(entry) if isinstance(entry, Mapping) else {"step": entry}
        kind = given.pop("step", None)
        if not isinstance(kind, str) or kind not in _KINDS:
            raise DataError(
                f"post-processing step {number}: unknown kind {kind!r}. "
                f"Known are: {', '.join(_KINDS)}."
            )
        try:
            steps.append(_KINDS[kind](**given))
        except (TypeError, ValueError) as error:
            raise DataError(f"post-processing step {number} ({kind}): {error}.") from None
    return tuple(steps)


def _remove(inside: np.ndarray, gone: np.ndarray, label: str | None, labels: Labels) -> None:
    if not labels.overlapping:
        inside[gone] = 0
        return
    for layer in range(len(inside)) if label is None else labels.members(label):
        inside[layer][gone] = 0


def _fill(inside: np.ndarray, region: np.ndarray, step: FillHoles, labels: Labels) -> None:
    """Fill every hole in place, within the box of the class."""
    from scipy import ndimage

    holes, _ = find_holes(region, step.neighbours)
    around = _structure(region.ndim, step.neighbours)
    for number, found in enumerate(ndimage.find_objects(holes), 1):
        grown = _grown(found, region.shape)
        hole = holes[grown] == number
        border = ndimage.binary_dilation(hole, around) & region[grown]
        place = inside[(..., *grown)]
        if labels.overlapping:
            layers = range(len(inside)) if step.label is None else labels.members(step.label)
            layer = max(layers, key=lambda i: np.count_nonzero(place[i][border]))
            place[layer][hole] = 1
            continue
        values, counts = np.unique(place[border], return_counts=True)
        place[hole & (place == 0)] = values[np.argmax(counts)]


def _grown(place: Sequence[slice], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """One voxel more on each side, within the array."""
    return tuple(
        slice(max(0, s.start - 1), min(n, s.stop + 1)) for s, n in zip(place, shape, strict=True)
    )


def _ids(label: str, labels: Labels) -> list[int]:
    leaves = [labels.leaves[member - 1] for member in labels.members(label)]
    return [leaf.id for leaf in leaves if leaf.id is not None]


def _label(filled: np.ndarray, neighbours: Neighbours) -> tuple[np.ndarray, int]:
    """Each voxel's component, from 1 on, and how many there are."""
    from scipy import ndimage

    parts = np.empty(filled.shape, np.int32)
    number = ndimage.label(filled, _structure(filled.ndim, neighbours), output=parts)
    assert isinstance(number, int), "it returns only a number where it is given the output"
    return parts, number


def _structure(dims: int, neighbours: Neighbours) -> np.ndarray:
    from scipy import ndimage

    return ndimage.generate_binary_structure(dims, min(dims, _RANK[neighbours]))


def _named(label: str | None) -> str:
    return "all structures together" if label is None else label


def _check_neighbours(neighbours: str) -> None:
    if neighbours not in _RANK:
        raise ValueError(f"neighbours are {', '.join(_RANK)}, not {neighbours!r}")
