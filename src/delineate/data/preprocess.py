"""One scan to the network's grid and back: crop, normalise, resample; decide, resample, uncrop.

Intensities are normalised before resampling, so that the figures are those of measured voxels, and
after cropping, so that empty border does not count.
"""

from dataclasses import dataclass

import numpy as np

from delineate.data.resample import decide, resample, resample_mask
from delineate.errors import DataError, PlanError
from delineate.geometry import Box, bounding_box, slices
from delineate.io import Volume
from delineate.labels import Labels
from delineate.plan import Normalisation, Plan

__all__ = ["PREPROCESSING", "Prepared", "normalise", "preprocess", "preprocess_mask", "restore"]

PREPROCESSING = 1
"""Raised by one whenever the same scan and plan give other arrays, so that no old cache is used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A scan on the plan's grid, and the way back to its own."""

    array: np.ndarray
    """(c, *s) float32."""
    box: Box
    """What was kept of the canonical scan."""
    source_shape: tuple[int, ...]
    """Spatial shape of the canonical scan, before the crop."""
    spacing: tuple[float, ...]
    """mm, the plan's."""
    separate_axis: int | None
    """The axis that was resampled by nearest neighbour."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape on the plan's grid."""
        return self.array.shape[1:]


def preprocess(volume: Volume, plan: Plan) -> Prepared:
    """Crop to the box of non-zero voxels (where planned), normalise each channel, resample."""
    _check(volume, plan)
    box: Box | None = None
    if plan.crop_nonzero:
        box = bounding_box(np.asarray(volume.array.any(axis=0)))
    if box is None:
        box = tuple((0, n) for n in volume.shape)
    array = normalise(volume.array[(slice(None), *slices(box))], plan.normalisation)
    shape = tuple(
        max(1, round((stop - start) * own / planned))
        for (start, stop), own, planned in zip(box, volume.spacing, plan.spacing, strict=True)
    )
    return Prepared(
        array=np.ascontiguousarray(resample(array, shape, separate_axis=plan.separate_axis)),
        box=box,
        source_shape=volume.shape,
        spacing=plan.spacing,
        separate_axis=plan.separate_axis,
    )


def preprocess_mask(mask: Volume, labels: Labels, prepared: Prepared) -> np.ndarray:
    """Channel indices (*s), -1 where ignored, or overlapping layers (k, *s), on the plan's grid."""
    if mask.shape != prepared.source_shape:
        raise DataError(
            f"the mask is {_by(mask.shape)} but the image is {_by(prepared.source_shape)}. "
            "Masks must be on the image's grid. Fix: delineate doctor shows all such cases."
        )
    layers, expected = len(mask.array), len(labels.leaves) if labels.overlapping else 1
    if layers != expected:
        raise DataError(f"the mask has {layers} layers but the labels ask for {expected}.")
    encoded = labels.encode(mask.array if labels.overlapping else mask.array[0])
    cropped = encoded[(..., *slices(prepared.box))]
    moved = resample_mask(cropped, prepared.shape, separate_axis=prepared.separate_axis)
    return np.ascontiguousarray(moved)


def restore(
    values: np.ndarray, prepared: Prepared, *, threshold: float | None = None
) -> np.ndarray:
    """What a network found, on the canonical grid of the scan; background outside the crop.

    Args:
        values: On the plan's grid: whole numbers are a mask, (*s) or (k, *s); floating numbers are
            scores (k, *s), logits or probabilities.
        prepared: What `preprocess` made of the scan.
        threshold: For scores only. None where classes exclude each other: the highest wins.
            Otherwise each class is set where its score exceeds it (0 for logits, 0.5 for
            probabilities), and the result is (k, *s) 0/1.
    """
    shape = tuple(stop - start for start, stop in prepared.box)
    axis = prepared.separate_axis
    if np.issubdtype(values.dtype, np.floating):
        found = decide(values, shape, threshold=threshold, separate_axis=axis)
    else:
        found = resample_mask(values, shape, separate_axis=axis)
    if shape == prepared.source_shape:
        return found
    layers = found.shape[: found.ndim - len(shape)]
    whole = np.zeros((*layers, *prepared.source_shape), found.dtype)
    whole[(..., *slices(prepared.box))] = found
    return whole


def normalise(array: np.ndarray, rules: tuple[Normalisation, ...]) -> np.ndarray:
    """A float32 copy of (c, *s), each channel normalised by its rule; a constant one is zeros."""
    out = np.array(array, dtype=np.float32, order="C")
    for channel, rule in zip(out, rules, strict=True):
        if rule.kind not in _RULES:
            raise PlanError(
                f"the plan's normalisation '{rule.kind}' is unknown; known are {', '.join(_RULES)}."
            )
        _RULES[rule.kind](channel, rule)
    return out


def _zscore(image: np.ndarray, rule: Normalisation) -> None:
    if rule.nonzero:
        filled = image != 0
        image[filled] = _standardised(image[filled])
    else:
        image[...] = _standardised(image)


def _standardised(values: np.ndarray) -> np.ndarray:
    # Sums over millions of voxels need double precision; the voxels themselves do not.
    mean = values.mean(dtype=np.float64) if values.size else 0.0
    values = values - np.float32(mean)
    variance = np.square(values).mean(dtype=np.float64) if values.size else 0.0
    deviation = np.sqrt(variance)
    if deviation <= 1e-7 * abs(mean):
        return np.zeros_like(values)
    values /= np.float32(deviation)
    return values


def _ct(image: np.ndarray, rule: Normalisation) -> None:
    np.clip(image, rule.low, rule.high, out=image)
    image -= np.float32(rule.mean)
    image /= np.float32(rule.deviation or 1.0)


def _scale(image: np.ndarray, rule: Normalisation) -> None:
    image /= np.float32(255)


def _none(image: np.ndarray, rule: Normalisation) -> None:
    """The intensities stay as they are."""


_RULES = {"zscore": _zscore, "ct": _ct, "scale": _scale, "none": _none}


def _check(volume: Volume, plan: Plan) -> None:
    if len(volume.shape) != len(plan.spacing):
        raise DataError(
            f"the image has {len(volume.shape)} spatial axes "
            f"but the plan is for {len(plan.spacing)}."
        )
    if len(volume.array) != len(plan.channels):
        raise DataError(
            f"the image has {len(volume.array)} channels but the plan is for {len(plan.channels)}: "
            f"{', '.join(plan.channels)}."
        )
    with np.errstate(invalid="ignore", over="ignore"):
        total = volume.array.sum(dtype=np.float64)
    if not np.isfinite(total):
        count = int(np.count_nonzero(~np.isfinite(volume.array)))
        raise DataError(
            f"the image holds {count} voxels that are NaN or infinite. "
            "Fix: delineate doctor DATA --fix OUT writes a copy without them."
        )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
