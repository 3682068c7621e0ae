"""What the mask of a cascade means, and how the stages' masks become one."""

from collections.abc import Mapping, Sequence

import numpy as np

from delineate.errors import DataError
from delineate.geometry import Box, bounding_box, slices
from delineate.inference.postprocess import find_region
from delineate.labels import Class, Labels

__all__ = ["Draft", "find_extent", "join_labels"]

Chosen = Mapping[str, int] | None
"""Which classes of a stage count, and under which ids; None is all, under their own."""


def join_labels(stages: Sequence[tuple[Labels, Chosen]]) -> Labels:
    """The classes of all stages; one name with two ids, or one id of two names, is a DataError."""
    if len({labels.overlapping for labels, _ in stages}) > 1:
        raise DataError(
            "the classes of one stage overlap and those of another exclude each other: "
            "they cannot be one mask."
        )
    # A coarse and a fine stage may both answer for one class.
    found: dict[tuple[str, int | None], Class] = {}
    for c in (c for labels, chosen in stages for c in _choose(labels, chosen)):
        found.setdefault((c.name, c.id), c)
    classes = tuple(found.values())
    names = {c.name for c in classes}
    pairs = {pair for labels, _ in stages for pair in labels.pairs if names.issuperset(pair)}
    try:
        return Labels(
            classes=classes, overlapping=stages[0][0].overlapping, pairs=tuple(sorted(pairs))
        )
    except DataError as error:
        raise DataError(
            f"{str(error).removeprefix('labels: ')} Fix: say which classes each stage "
            f"answers, and under which ids, such as answer: {{{classes[-1].name}: "
            f"{_free_id(classes)}}}."
        ) from None


def _choose(labels: Labels, chosen: Chosen) -> tuple[Class, ...]:
    if chosen is None:
        return labels.classes
    colours = {c.name: c.colour for c in labels.classes}
    return tuple(Class(name=name, id=id, colour=colours[name]) for name, id in chosen.items())


def _free_id(classes: Sequence[Class]) -> int:
    return max((c.id or 0 for c in classes), default=0) + 1


class Draft:
    """The mask of a cascade, background until a stage draws into it.

    Args:
        labels: Those of the cascade.
        shape: Of the scan, in canonical axes.
    """

    def __init__(self, labels: Labels, shape: Sequence[int]) -> None:
        self._labels = labels
        top = max((leaf.id or 0 for leaf in labels.leaves), default=0)
        layers, kind = (len(labels.leaves), np.dtype(np.uint8)) if labels.overlapping else (1, None)
        self.array = np.zeros((layers, *shape), kind or np.min_scalar_type(top))

    def draw(self, mask: np.ndarray, box: Box, labels: Labels, chosen: Chosen) -> None:
        """Write what a stage has found in a box over what is there; its background leaves it.

        Args:
            mask: The stage's, (1, *box) ids or (k, *box) layers.
            box: Where it lies.
            labels: What the stage's mask means.
            chosen: What of it counts.
        """
        place = self.array[(slice(None), *slices(box))]
        draw = self._draw_layers if labels.overlapping else _draw_ids
        # Plane by plane: what is in between would be as large as the scan.
        for plane, target in zip(mask.swapaxes(0, 1), place.swapaxes(0, 1), strict=True):
            draw(plane, target, labels, chosen)

    def _draw_layers(
        self, mask: np.ndarray, place: np.ndarray, labels: Labels, chosen: Chosen
    ) -> None:
        layer_of = {leaf.name: layer for layer, leaf in enumerate(self._labels.leaves)}
        if chosen is None:
            for leaf, layer in zip(labels.leaves, mask, strict=True):
                place[layer_of[leaf.name]] |= layer
        for name in chosen or ():
            place[layer_of[name]][find_region(mask, name, labels)] = 1


def _draw_ids(mask: np.ndarray, place: np.ndarray, labels: Labels, chosen: Chosen) -> None:
    if chosen is None:
        np.copyto(place, mask, where=mask != 0, casting="unsafe")
        return
    for name, id in chosen.items():
        place[0][find_region(mask[0], name, labels)] = id


def find_extent(mask: np.ndarray, name: str | None, labels: Labels) -> tuple[Box | None, int]:
    """The box around a class of any rank, or around all, and how many voxels it has.

    Args:
        mask: (1, *s) ids or (k, *s) layers.
        name: None is any class.
        labels: What the mask means.
    """
    rows, seen, count = [], np.zeros(mask.shape[2:], bool), 0
    for row, plane in enumerate(mask.swapaxes(0, 1)):
        region = find_region(plane if labels.overlapping else plane[0], name, labels)
        if found := int(np.count_nonzero(region)):
            rows.append(row)
            count += found
            seen |= region
    others = bounding_box(seen)
    return (None if others is None else ((rows[0], rows[-1] + 1), *others)), count
