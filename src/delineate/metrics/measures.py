"""Which figures are taken of a case, and by which rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from delineate.errors import ConfigError
from delineate.labels import Labels
from delineate.metrics.atlas import Challenge
from delineate.metrics.lesions import LesionRule
from delineate.metrics.surface import Surface

__all__ = ["GROUPS", "Measures"]

GROUPS = ("overlap", "volume", "presence", "surface", "lesions", "hierarchy")
"""Figures that are taken together, in the order of their columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is measured of each case and class; docs/reference/metrics.md has every figure."""

    groups: tuple[str, ...] = ("overlap", "volume", "surface")
    tolerance_mm: float | Mapping[str, float] | None = None
    """Of surface Dice and boundary F1, one or by class; without one they are not taken."""
    surface: Surface = "voxels"
    """What a surface is: voxels as in MONAI, or elements by area as in surface-distance."""
    lesions: LesionRule = field(default_factory=LesionRule)
    challenge: Challenge | None = None
    """The scores of a challenge besides."""

    def __post_init__(self) -> None:
        _refuse_unknown("metrics", self.groups, GROUPS)
        _refuse_unknown("surface", (self.surface,), get_args(Surface))
        if self.challenge is not None:
            _refuse_unknown("challenge", (self.challenge,), get_args(Challenge))
        tolerance = self.tolerance_mm
        if tolerance is None:
            return
        given = tolerance.values() if isinstance(tolerance, Mapping) else (tolerance,)
        if any(not mm >= 0 for mm in given):
            raise ConfigError(f"metrics: the tolerance {min(given):g} mm is below 0.")
        if "surface" not in self.groups:
            raise ConfigError("metrics: a tolerance is for the surface. Fix: add surface.")

    def tolerances(self, labels: Labels) -> dict[str, tuple[str, float]]:
        """By class: the ending of its columns' names, and the tolerance in mm.

        An unknown class is a ConfigError; a class without a tolerance is left out.
        """
        if self.tolerance_mm is None:
            return {}
        if isinstance(self.tolerance_mm, Mapping):
            _refuse_unknown("tolerance", tuple(self.tolerance_mm), labels.names)
            return {name: ("", float(mm)) for name, mm in self.tolerance_mm.items()}
        ending = f"_{self.tolerance_mm:g}mm"
        return {name: (ending, float(self.tolerance_mm)) for name in labels.names}


def _refuse_unknown(what: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{what}: unknown '{name}'. There are {', '.join(known)}.")
