"""What a cascade found in a series: how far it went, and what was drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from delineate.metrics.pieces import pieces_of
from delineate.systems.spine.cascade.ballot import Ballot
from delineate.systems.spine.prediction.series_slices import Slices
from delineate.systems.spine.slices.volume_pictures import to_volume

__all__ = ["Drawn", "Outcome", "SliceVerdict", "State", "count_pieces"]

State = Literal["accepted", "rejected", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceVerdict:
    """What was said of one slice."""

    name: str
    answers: Mapping[str, tuple[str, float]]
    """By gate: the most probable class and how probable it is."""
    reason: str = ""
    """Why nothing was drawn on it; empty where something could be."""
    cord_pixels: int | None = None
    lesion_pixels: int | None = None
    """None where nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One series."""

    series: str
    kind: str
    state: State
    stage: str = ""
    """Where it was rejected, or failed."""
    reason: str = ""
    plane: str = ""
    """Which way a scan was cut."""
    ballots: Mapping[str, Ballot] = field(default_factory=dict)
    slices: Sequence[SliceVerdict] = ()
    lesions: int | None = None
    """Connected pieces: in three dimensions of a scan, in each picture for itself."""
    lesion_ml: float | None = None
    """None of pictures, whose pixels have no known size."""
    cord_ml: float | None = None
    files: Sequence[str] = ()
    """What was written, from the folder of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Masks (rows, columns) uint8 0/1 of every slice of a series; those not looked at are empty."""

    lesion: Sequence[np.ndarray]
    cord: Sequence[np.ndarray] | None


def count_pieces(masks: Sequence[np.ndarray], slices: Slices) -> int:
    """Connected pieces of 0/1 masks, over corners too."""
    if slices.scan is None:
        return sum(len(pieces_of(mask, 2).sizes) for mask in masks if mask.any())
    volume = to_volume(np.stack(masks), slices.scan.plane)
    return len(pieces_of(volume, 3).sizes) if volume.any() else 0
