"""What the training scans looked like, and how far a scan is from it.

Intensities are taken over the whole scan, as the plan's normalisation leaves them but not clipped:
in their own unit for CT and pictures, in deviations from the scan's own mean where the unit means
nothing (MR). So a scanner's gain is no departure, while a CT without its rescaling is one.

A figure departs when it lies outside the training's own range by more than a margin: a quarter of
that range, and never less than what is harmless anyway (10 % of a spacing or a field of view, half
a deviation or 5 % of the training's range of intensities). Few scans say little about their range,
so the margin grows by three times the range over their number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from delineate.errors import DataError
from delineate.io import Volume
from delineate.plan import CaseFacts, Fingerprint, Normalisation, Plan

__all__ = ["Domain", "Span", "take_domain"]

PERCENTILES = (1, 50, 99)
SAMPLES = 200_000
"""Voxels of a channel that stand for all of them."""
MARGIN = 0.25
"""Of the training's range, on either side, once there are many scans."""
SHARE = 0.1
"""A spacing or a field of view this much beyond the range is harmless."""
DEVIATIONS = 0.5
"""So is an intensity percentile this many deviations beyond it."""
TILT_DEGREES = 10.0
"""So is a scan tilted this much more against the body's axes."""

_VOLUME_AXES = ("left-right", "back-front", "foot-head")
_PICTURE_AXES = ("row", "column")


@dataclass(frozen=True, slots=True)
class Span:
    """The least and the most of one figure over the training scans."""

    least: float
    most: float

    def holds(self, value: float, *, cases: int, floor: float) -> bool:
        """Whether a value lies within the range and its margin, which is at least `floor`."""
        width = self.most - self.least
        margin = max(floor, width * (MARGIN + 3 / max(1, cases)))
        return self.least - margin <= value <= self.most + margin

    def __str__(self) -> str:
        low, high = f"{self.least:.3g}", f"{self.most:.3g}"
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What the training scans looked like, in canonical axes; no name and no path is in it."""

    cases: int
    channels: tuple[str, ...]
    normalisation: tuple[Normalisation, ...]
    """One per channel: the unit of its intensities."""
    spacing: tuple[Span, ...]
    """mm, one per axis."""
    field_of_view: tuple[Span, ...]
    """mm, one per axis; pixels for pictures."""
    intensities: tuple[tuple[Span, ...], ...] = ()
    """The 1st, 50th and 99th percentile of each channel; empty where they were not taken."""
    orientations: tuple[str, ...] = ()
    """How the files' axes ran, such as LPS; empty where that was not noted."""
    tilt: float | None = None
    """The most that a scan was turned against the body's axes, in degrees."""

    def warnings(self, volume: Volume) -> tuple[str, ...]:
        """One sentence for each way in which a scan leaves the training's domain, with figures."""
        if len(volume.shape) != len(self.spacing) or len(volume.array) != len(self.channels):
            raise DataError(
                f"the scan has {len(volume.shape)} axes and {len(volume.array)} channels; the "
                f"training scans had {len(self.spacing)} and {len(self.channels)}."
            )
        looks = _look(volume, self.normalisation)
        return (
            *self._warn_of_grid(looks),
            *self._warn_of_orientation(looks),
            *self._warn_of_intensities(looks),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Domain":
        """The domain that `to_json` wrote; anything else is a DataError."""
        try:
            return cls(
                cases=int(data["cases"]),
                channels=tuple(map(str, data["channels"])),
                normalisation=tuple(Normalisation(**n) for n in data["normalisation"]),
                spacing=_spans(data["spacing"]),
                field_of_view=_spans(data["field_of_view"]),
                intensities=tuple(_spans(channel) for channel in data["intensities"]),
                orientations=tuple(map(str, data["orientations"])),
                tilt=None if data["tilt"] is None else float(data["tilt"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the input domain cannot be read: {error!r}.") from None

    def _warn_of_grid(self, looks: "_Looks") -> list[str]:
        volumetric = len(self.spacing) == 3
        # Pictures seldom say how large a pixel is: their lengths are in pixels then.
        unit = " mm" if volumetric else ""
        thick = _thick_axis(looks.spacing)
        told = []
        for axis, name in enumerate(_VOLUME_AXES if volumetric else _PICTURE_AXES):
            where = "the slice axis" if axis == thick else f"the {name} axis"
            for what, value, span in (
                ("spacing", looks.spacing[axis], self.spacing[axis]),
                ("field of view", looks.field_of_view[axis], self.field_of_view[axis]),
            ):
                if not span.holds(value, cases=self.cases, floor=SHARE * max(value, span.most)):
                    told.append(
                        f"{what} {value:.3g}{unit} along {where}; training scans had {span}"
                    )
        return told

    def _warn_of_orientation(self, looks: "_Looks") -> list[str]:
        told = []
        if self.orientations and looks.orientation not in self.orientations:
            told.append(
                f"axes stored as {looks.orientation}; training scans had "
                f"{', '.join(self.orientations)}: the mask is right only if the header is"
            )
        if self.tilt is not None and looks.tilt > self.tilt + TILT_DEGREES:
            told.append(
                f"tilted by {looks.tilt:.0f} degrees against the body's axes; training scans by at "
                f"most {self.tilt:.0f}"
            )
        return told

    def _warn_of_intensities(self, looks: "_Looks") -> list[str]:
        told = []
        for number, spans in enumerate(self.intensities):
            rule = self.normalisation[number]
            relative = rule.kind == "zscore"
            floor = DEVIATIONS if relative else 0.05 * (spans[-1].most - spans[0].least)
            unit = " deviations from the scan's mean" if relative else ""
            for percentile, value, span in zip(
                PERCENTILES, looks.intensities[number], spans, strict=True
            ):
                if not span.holds(value, cases=self.cases, floor=floor):
                    told.append(
                        f"'{self.channels[number]}' has its {_ordinal(percentile)} percentile at "
                        f"{value:.3g}{unit}; training scans had {span}"
                    )
        return told


def take_domain(scans: Iterable[Volume] | Fingerprint, plan: Plan) -> Domain:
    """The domain of the training scans, each looked at once; at least one.

    A fingerprint knows spacing and field of view only: scans tell all.
    """
    if isinstance(scans, Fingerprint):
        looks = [_look_at_facts(case) for case in scans.cases]
    else:
        looks = [_look(volume, plan.normalisation) for volume in scans]
    if not looks:
        raise ValueError("a domain needs at least one scan")
    orientations = {look.orientation for look in looks if look.orientation}
    return Domain(
        cases=len(looks),
        channels=plan.channels,
        normalisation=plan.normalisation,
        spacing=_range_of([look.spacing for look in looks]),
        field_of_view=_range_of([look.field_of_view for look in looks]),
        intensities=tuple(
            _range_of([look.intensities[channel] for look in looks])
            for channel in range(len(looks[0].intensities))
        ),
        orientations=tuple(sorted(orientations)),
        tilt=max(look.tilt for look in looks) if orientations else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looks:
    """The figures of one scan."""

    spacing: tuple[float, ...]
    field_of_view: tuple[float, ...]
    intensities: tuple[tuple[float, ...], ...] = ()
    orientation: str = ""
    tilt: float = 0.0


def _look(volume: Volume, rules: Sequence[Normalisation]) -> _Looks:
    spacing = volume.spacing
    volumetric = len(volume.shape) == 3
    return _Looks(
        spacing=spacing,
        field_of_view=_extent(volume.shape, spacing),
        intensities=tuple(_percentiles(c, r) for c, r in zip(volume.array, rules, strict=True)),
        orientation=_axis_codes(volume.source.affine) if volumetric else "",
        tilt=_tilt(volume.affine) if volumetric else 0.0,
    )


def _look_at_facts(case: CaseFacts) -> _Looks:
    return _Looks(spacing=case.spacing, field_of_view=_extent(case.shape, case.spacing))


def _extent(shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, ...]:
    return tuple(n * mm for n, mm in zip(shape, spacing, strict=True))


def _percentiles(image: np.ndarray, rule: Normalisation) -> tuple[float, ...]:
    """Of at most `SAMPLES` voxels, evenly spread; in deviations where the rule is 'zscore'."""
    flat = image.reshape(-1)
    values = flat[:: max(1, flat.size // SAMPLES)].astype(np.float64)
    values = values[np.isfinite(values)]
    if rule.kind == "zscore":
        if rule.nonzero and values.any():
            values = values[values != 0]
        deviation = values.std() if values.size else 0.0
        values = (values - values.mean()) / deviation if deviation > 0 else np.zeros(1)
    if not values.size:
        return (0.0,) * len(PERCENTILES)
    return tuple(float(v) for v in np.percentile(values, PERCENTILES))


def _axis_codes(affine: np.ndarray) -> str:
    """Where each of the file's axes runs to, such as LPS; by the largest part of each."""
    codes = ""
    taken: list[int] = []
    matrix = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    for axis in range(3):
        order = np.argsort(-np.abs(matrix[:, axis]))
        world = next(int(w) for w in order if int(w) not in taken)
        taken.append(world)
        codes += "LPI"[world] if matrix[world, axis] < 0 else "RAS"[world]
    return codes


def _tilt(affine: np.ndarray) -> float:
    """The largest angle between a canonical axis and the body axis that it stands for, degrees."""
    matrix = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return float(np.degrees(np.arccos(np.clip(np.diag(matrix), -1, 1))).max())


def _thick_axis(spacing: Sequence[float]) -> int | None:
    """The axis along which voxels are clearly longest; None where they are about cubic."""
    longest = int(np.argmax(spacing))
    others = [mm for axis, mm in enumerate(spacing) if axis != longest]
    return longest if spacing[longest] > 1.5 * max(others) else None


def _range_of(rows: Sequence[Sequence[float]]) -> tuple[Span, ...]:
    table = np.array(rows, np.float64)
    return tuple(Span(float(c.min()), float(c.max())) for c in table.T)


def _spans(data: Sequence[Mapping[str, Any]]) -> tuple[Span, ...]:
    return tuple(Span(float(s["least"]), float(s["most"])) for s in data)


def _ordinal(number: int) -> str:
    return f"{number}{'st' if number % 10 == 1 and number != 11 else 'th'}"
