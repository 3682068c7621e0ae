"""Lesions found and missed, counted as connected pieces of a class.

A true lesion is *found*, and a predicted one *right*, when they overlap enough by the rule. Then

    recall = found / true    precision = right / predicted
    F1 = 2 found / (2 found + missed + false)

where the missed are the true lesions that were not found, the false the predicted that are not
right. Paired one to one, found and right are the number of pairs.

======================  =========================  =====================
figure                  no lesion in either mask   none in one of them
======================  =========================  =====================
lesion_f1               1                          0
lesion_recall           NaN                        NaN without true ones
lesion_precision        NaN                        NaN without predicted
======================  =========================  =====================
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from delineate.errors import ConfigError
from delineate.labels import Labels
from delineate.metrics.layers import Layer, layers, single_layer
from delineate.metrics.pieces import pieces_of, shared_voxels

__all__ = ["CONNECTIVITY", "LesionRule", "Lesions", "count_lesions", "measure_lesions"]

CONNECTIVITY = {2: {4: 1, 8: 2}, 3: {6: 1, 18: 2, 26: 3}}
"""Neighbours of a voxel by dimensions: how many, and along how many axes they may differ."""
COUNTED = ("true", "predicted", "found", "right")
ROUNDING = 1e-9
"""Of numbers of voxels that follow from sizes in mm3 and from shares."""
IN_PICTURES = {6: 4, 18: 8, 26: 8}
"""What a connectivity of volumes means in two dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRule:
    """What is one lesion, and when two lesions are the same."""

    connectivity: int = 26
    """Neighbours that hang together: 6, 18 or 26; in pictures 4 or 8."""
    overlap: Literal["share", "iou"] = "share"
    """The share of a lesion that the other mask covers, or the pair's intersection over union."""
    least: float = 0.0
    """How much overlap is enough; at 0 one shared voxel is."""
    one_to_one: bool = False
    """A lesion counts for one other only; else one large piece may find many."""
    smallest_mm3: float = 0.0
    """Smaller pieces are left out of both masks; mm2 in pictures."""

    def __post_init__(self) -> None:
        known = [n for numbers in CONNECTIVITY.values() for n in numbers]
        if self.connectivity not in known:
            raise ConfigError(f"lesions: connectivity {self.connectivity} is none of {known}.")
        if self.overlap not in ("share", "iou"):
            raise ConfigError(f"lesions: the overlap '{self.overlap}' is neither share nor iou.")
        if not 0 <= self.least <= 1:
            raise ConfigError(f"lesions: the least overlap is {self.least:g}, not in 0..1.")
        if self.smallest_mm3 < 0:
            raise ConfigError(f"lesions: the smallest size is {self.smallest_mm3:g}, below 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesions:
    """How many lesions of one class there are, and how many of them agree."""

    true: int
    predicted: int
    found: int
    """True lesions that the prediction overlaps enough."""
    right: int
    """Predicted lesions that the truth overlaps enough."""

    @property
    def recall(self) -> float:
        """The share of true lesions that were found; NaN where there is none."""
        return self.found / self.true if self.true else float("nan")

    @property
    def precision(self) -> float:
        """The share of predicted lesions that are right; NaN where there is none."""
        return self.right / self.predicted if self.predicted else float("nan")

    @property
    def f1(self) -> float:
        """See the head of this file; 1 where neither mask has a lesion."""
        wrong = (self.true - self.found) + (self.predicted - self.right)
        return 2 * self.found / (2 * self.found + wrong) if self.true or self.predicted else 1.0

    def figures(self) -> dict[str, float]:
        """By column name."""
        return {
            "lesion_f1": self.f1,
            "lesion_precision": self.precision,
            "lesion_recall": self.recall,
            "lesions": self.predicted,
            "true_lesions": self.true,
            "false_lesions": self.predicted - self.right,
            "lesion_count_difference": abs(self.predicted - self.true),
        }


def measure_lesions(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    rule: LesionRule,
) -> dict[str, Lesions]:
    """Lesions of every class by name, from encoded masks; ignored voxels belong to no class."""
    found: dict[str, Lesions] = {}
    for layer in layers(prediction, truth, labels):
        found |= _count(layer, spacing, rule)
    return {name: found[name] for name in labels.names}


def count_lesions(
    prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], rule: LesionRule
) -> Lesions:
    """Lesions of two boolean masks of one shape (*s)."""
    return _count(single_layer(prediction, truth), spacing, rule)[""]


def _count(layer: Layer, spacing: tuple[float, ...], rule: LesionRule) -> dict[str, Lesions]:
    """Lesions of every class of a layer."""
    axes = _axes(rule.connectivity, layer.truth.ndim)
    predicted, true = (pieces_of(image, axes) for image in (layer.prediction, layer.truth))
    # A size that is a multiple of the voxel's, but for rounding, is reached.
    least_voxels = rule.smallest_mm3 / float(np.prod(spacing)) - ROUNDING
    kept = predicted.sizes >= least_voxels, true.sizes >= least_voxels
    ours, theirs, voxels = shared_voxels(predicted, true)
    known = kept[0][ours] & kept[1][theirs]
    pairs = _Pairs(ours[known], theirs[known], voxels[known], predicted.sizes, true.sizes)
    right, found = _match_one_to_one(pairs, rule) if rule.one_to_one else _match(pairs, rule)
    most = max(layer.names) + 1
    columns = [
        np.bincount(classes, minlength=most)
        for classes in (
            true.classes[kept[1]],
            predicted.classes[kept[0]],
            true.classes[found],
            predicted.classes[right],
        )
    ]
    return {
        name: Lesions(**dict(zip(COUNTED, (int(c[number]) for c in columns), strict=True)))
        for number, name in layer.names.items()
    }


def _axes(connectivity: int, dims: int) -> int:
    """Along how many axes at once neighbours may differ."""
    known = CONNECTIVITY[dims]
    number = IN_PICTURES.get(connectivity, connectivity) if dims == 2 else connectivity
    if number not in known:
        raise ConfigError(
            f"lesions: connectivity {connectivity} is for pictures; volumes have {list(known)}."
        )
    return known[number]


class _Pairs(NamedTuple):
    """Predicted and true pieces that share voxels."""

    predicted: np.ndarray
    true: np.ndarray
    voxels: np.ndarray
    """How many each pair shares."""
    predicted_sizes: np.ndarray
    """Of every piece, in a pair or not."""
    true_sizes: np.ndarray

    def iou(self) -> np.ndarray:
        """Intersection over union of each pair."""
        sizes = self.predicted_sizes[self.predicted] + self.true_sizes[self.true]
        return self.voxels / (sizes - self.voxels)


def _match(pairs: _Pairs, rule: LesionRule) -> tuple[np.ndarray, np.ndarray]:
    """The predicted pieces that are right and the true ones found; a piece may meet many."""
    if rule.overlap == "iou":
        enough = pairs.iou() >= rule.least
        return np.unique(pairs.predicted[enough]), np.unique(pairs.true[enough])
    return (
        _covered(pairs.predicted, pairs.voxels, pairs.predicted_sizes, rule.least),
        _covered(pairs.true, pairs.voxels, pairs.true_sizes, rule.least),
    )


def _covered(pieces: np.ndarray, voxels: np.ndarray, sizes: np.ndarray, least: float) -> np.ndarray:
    """The pieces of which enough, and at least a voxel, is shared with any other."""
    shared = np.bincount(pieces, voxels, minlength=len(sizes))
    return np.flatnonzero((shared > 0) & (shared >= least * sizes - ROUNDING))


def _match_one_to_one(pairs: _Pairs, rule: LesionRule) -> tuple[np.ndarray, np.ndarray]:
    """The largest number of pairs that overlap enough, each piece in at most one."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    overlap = pairs.iou() if rule.overlap == "iou" else pairs.voxels / pairs.true_sizes[pairs.true]
    enough = overlap >= rule.least
    shape = len(pairs.true_sizes), len(pairs.predicted_sizes)
    edges = np.ones(np.count_nonzero(enough)), (pairs.true[enough], pairs.predicted[enough])
    partner = maximum_bipartite_matching(csr_array(edges, shape), perm_type="column")
    found = np.flatnonzero(partner >= 0)
    return partner[found], found
