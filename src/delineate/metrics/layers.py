"""Classes that share no voxel, side by side in one image: a pass over it measures all of them.

Exclusive classes are one layer, however many they are. Unions that overlap (all of a tumour, its
core) go to further layers, and each of several overlapping masks is a layer of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delineate.geometry import bounding_box, slices
from delineate.labels import IGNORE, Labels
from delineate.metrics.overlap import union

__all__ = ["Layer", "layers", "single_layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Two images of small numbers, cut to the box that holds both; other numbers are no class."""

    prediction: np.ndarray
    truth: np.ndarray
    names: dict[int, str]
    """The class that each number stands for; 0 is none."""


def layers(prediction: np.ndarray, truth: np.ndarray, labels: Labels) -> Iterator[Layer]:
    """Every class in one of the layers, from encoded masks; ignored voxels belong to no class."""
    if labels.overlapping:
        for name in labels.names:
            members = labels.members(name)
            one, other = (union(mask, members).view(np.uint8) for mask in (prediction, truth))
            yield _cut(one, other, {1: name})
        return
    if labels.ignore is not None:
        prediction = np.where(truth == IGNORE, 0, prediction)
    for chosen in _disjoint({name: labels.members(name) for name in labels.names}):
        if labels.ignore is None and all(len(members) == 1 for members in chosen.values()):
            yield _cut(prediction, truth, {m[0]: name for name, m in chosen.items()})
            continue
        # The last entry is where -1, an ignored voxel, ends up.
        table = np.zeros(labels.channels + 1, np.min_scalar_type(len(chosen)))
        for number, members in enumerate(chosen.values(), 1):
            table[list(members)] = number
        yield _cut(table[prediction], table[truth], dict(enumerate(chosen, 1)))


def single_layer(prediction: np.ndarray, truth: np.ndarray) -> Layer:
    """One class without a name, from two boolean masks of one shape."""
    return _cut(prediction.view(np.uint8), truth.view(np.uint8), {1: ""})


def _disjoint(members: dict[str, tuple[int, ...]]) -> list[dict[str, tuple[int, ...]]]:
    """The classes in as few groups as a greedy choice finds, none of which shares a channel."""
    groups: list[dict[str, tuple[int, ...]]] = []
    taken: list[set[int]] = []
    for name in sorted(members, key=lambda n: len(members[n])):
        own = set(members[name])
        place = next((i for i, used in enumerate(taken) if not used & own), len(groups))
        if place == len(groups):
            groups.append({})
            taken.append(set())
        groups[place][name] = members[name]
        taken[place] |= own
    return groups


def _cut(prediction: np.ndarray, truth: np.ndarray, names: dict[int, str]) -> Layer:
    found = bounding_box((prediction > 0) | (truth > 0))
    box = (slice(0, 0),) * truth.ndim if found is None else slices(found)
    return Layer(prediction=prediction[box], truth=truth[box], names=names)
