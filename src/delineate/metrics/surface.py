"""Distances between the surfaces of two masks, in mm.

Two definitions of a surface are in use. *Voxels*: those with a face neighbour outside the mask,
all of one weight; distances run between their centres (as in MONAI). *Elements*: the corners
between voxels where the surface passes, each weighted by the area of the surface there; distances
run between the corners (as in DeepMind's surface-distance). Beyond the edge of the scan is outside.

======================  =========================  ======================
figure                  truth and prediction empty only one is empty
======================  =========================  ======================
hd, hd95, assd          NaN                        the scan's diagonal
surface_dice,           1                          0
boundary_f1
======================  =========================  ======================

The diagonal is the longest distance in the scan: a structure that is missed never improves a mean.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.labels import Labels
from delineate.metrics.elements import surface_elements
from delineate.metrics.layers import Layer, layers, single_layer
from delineate.metrics.nearest import Board, nearest, reach
from delineate.metrics.outline import surface_voxels

__all__ = ["Surface", "SurfaceDistances", "measure_surfaces", "surface_distances"]

Surface = Literal["voxels", "elements"]
Points = tuple[np.ndarray, np.ndarray | None]
"""Flat indices on the board, and their weights; None where all weigh the same."""

ROUNDING_MM = 1e-6
"""Multiples of a spacing such as 0.7 are not exact: what lies on the tolerance is within it."""
ROUNDING = 1e-12
"""Of the share of a surface that lies within a distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceDistances:
    """From each point on the surface of one mask to the nearest on that of the other, in mm."""

    to_truth: np.ndarray
    """One entry per point of the prediction's surface; empty where either surface is."""
    to_prediction: np.ndarray
    """One entry per point of the true surface."""
    weights: tuple[np.ndarray, np.ndarray] | None = None
    """Areas (mm2; in pictures lengths, mm) of both; None where all points weigh the same."""
    missing: float | None = None
    """What stands for a distance when one mask is empty (mm), NaN when both are; else None."""

    @property
    def hd(self) -> float:
        """The largest distance."""
        if self.missing is not None:
            return self.missing
        return float(max(self.to_truth.max(), self.to_prediction.max()))

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles."""
        if self.missing is not None:
            return self.missing
        return max(_percentile(d, w, 95) for d, w in self._sides())

    @property
    def assd(self) -> float:
        """The mean over both surfaces together."""
        if self.missing is not None:
            return self.missing
        sums, wholes = zip(*(_totals(d, w) for d, w in self._sides()), strict=True)
        return sum(sums) / sum(wholes)

    def surface_dice(self, tolerance_mm: float) -> float:
        """The share of both surfaces together that lies within the tolerance of the other."""
        if self.missing is not None:
            return _agreement_of_empty(self.missing)
        near, whole = zip(*self._near(tolerance_mm), strict=True)
        return sum(near) / sum(whole)

    def boundary_f1(self, tolerance_mm: float) -> float:
        """The harmonic mean of the two surfaces' shares within the tolerance of the other."""
        if self.missing is not None:
            return _agreement_of_empty(self.missing)
        precision, recall = (near / whole for near, whole in self._near(tolerance_mm))
        both = precision + recall
        return 2 * precision * recall / both if both else 0.0

    def _near(self, tolerance_mm: float) -> list[tuple[float, float]]:
        """What lies within the tolerance, and the whole: of the prediction, and of the truth."""
        limit = tolerance_mm + ROUNDING_MM
        return [_totals(d <= limit, w) for d, w in self._sides()]

    def _sides(self) -> list[tuple[np.ndarray, np.ndarray | None]]:
        weights = self.weights or (None, None)
        return [(self.to_truth, weights[0]), (self.to_prediction, weights[1])]


def measure_surfaces(
    prediction: np.ndarray,
    truth: np.ndarray,
    labels: Labels,
    spacing: tuple[float, ...],
    *,
    surface: Surface = "voxels",
) -> dict[str, SurfaceDistances]:
    """Distances of every class by name, from encoded masks; ignored voxels belong to no class."""
    diagonal = _diagonal(truth.shape[-len(spacing) :], spacing)
    found: dict[str, SurfaceDistances] = {}
    for layer in layers(prediction, truth, labels):
        found |= _measure(layer, spacing, surface=surface, diagonal=diagonal)
    return {name: found[name] for name in labels.names}


def surface_distances(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: tuple[float, ...],
    *,
    surface: Surface = "voxels",
) -> SurfaceDistances:
    """Distances between two boolean masks of one shape (*s)."""
    diagonal = _diagonal(truth.shape, spacing)
    layer = single_layer(prediction, truth)
    return _measure(layer, spacing, surface=surface, diagonal=diagonal)[""]


def _measure(
    layer: Layer, spacing: tuple[float, ...], *, surface: Surface, diagonal: float
) -> dict[str, SurfaceDistances]:
    """Distances of every class of a layer; `diagonal` stands for those of a missed class."""
    spacing = tuple(float(mm) for mm in spacing)
    if not layer.truth.size:
        return {name: _missing(float("nan")) for name in layer.names.values()}
    # A corner lies behind the last voxel, and its surroundings one farther.
    margin = [(n, n + 1) for n in reach(spacing)]
    sides = [
        _points(np.pad(image, margin), spacing, surface)
        for image in (layer.prediction, layer.truth)
    ]
    shape = tuple(n + a + b for n, (a, b) in zip(layer.truth.shape, margin, strict=True))
    board = Board.of(shape, spacing)
    return {
        name: _distances(sides[0].get(number), sides[1].get(number), board, diagonal)
        for number, name in layer.names.items()
    }


def _points(image: np.ndarray, spacing: tuple[float, ...], surface: Surface) -> dict[int, Points]:
    """The surface of each number of an image with a margin."""
    if surface == "elements":
        elements = surface_elements(image, spacing)
        return {number: (at, sizes) for number, (at, sizes) in elements.items()}
    return {number: (points, None) for number, points in surface_voxels(image).items()}


def _distances(
    prediction: Points | None, truth: Points | None, board: Board, diagonal: float
) -> SurfaceDistances:
    if prediction is None or truth is None:
        return _missing(float("nan") if prediction is truth else diagonal)
    (ours, our_weights), (true, true_weights) = prediction, truth
    return SurfaceDistances(
        to_truth=nearest(ours, true, board),
        to_prediction=nearest(true, ours, board),
        weights=None
        if our_weights is None or true_weights is None
        else (our_weights, true_weights),
    )


def _agreement_of_empty(missing: float) -> float:
    """1 where both masks are empty, 0 where one is."""
    return 1.0 if np.isnan(missing) else 0.0


def _missing(distance: float) -> SurfaceDistances:
    none = np.empty(0)
    return SurfaceDistances(to_truth=none, to_prediction=none, missing=distance)


def _totals(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """The sum of what the points have, and what it would be if each had 1."""
    if weights is None:
        return float(values.sum()), float(len(values))
    # Summed in one order, so that a share of all is exactly 1.
    return float((values * weights).sum()), float(weights.sum())


def _percentile(distances: np.ndarray, weights: np.ndarray | None, percent: float) -> float:
    """Between voxels linear; of weights the first distance within which that share lies."""
    if weights is None:
        return float(np.percentile(distances, percent))
    order = np.argsort(distances)
    shares = np.cumsum(weights[order]) / weights.sum()
    place = np.searchsorted(shares, percent / 100 - ROUNDING)
    return float(distances[order][min(place, len(order) - 1)])


def _diagonal(shape: tuple[int, ...], spacing: tuple[float, ...]) -> float:
    return float(np.linalg.norm(np.multiply(shape, spacing)))
