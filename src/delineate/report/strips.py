"""How the cases of each class are spread: a row of dots per class, with their middle and mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from math import isfinite

import numpy as np

from delineate.report.axes import Frame, Scale, dot, svg, tick_text, ticks

__all__ = ["Strip", "strip_chart"]

WIDTH, ROW = 720, 36
MOST_NAME = 28
"""Characters of a class's name beside its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One row: the figure of each case, and what is known of their mean."""

    name: str
    colour: str
    cases: Mapping[str, float]
    interval: tuple[float, float]
    """Of the mean; NaN where there are too few cases."""


def strip_chart(
    strips: list[Strip], *, title: str, x_label: str, share: bool, most: int = 150
) -> str:
    """A dot per case, a pale band for the middle half of them, a bar for the mean.

    Args:
        share: The figures lie in 0..1, and the axis ends at 1.
        most: Dots of a row; of more cases, as many are drawn at even distances by rank.
    """
    known = [{c: v for c, v in s.cases.items() if isfinite(v)} for s in strips]
    places = _axis([v for group in known for v in group.values()], share)
    names = [_short(s.name) for s in strips]
    left = min(220, 24 + 7.2 * max(len(name) for name in names))
    frame = Frame(width=WIDTH, height=52 + ROW * len(strips), left=left)
    x = Scale(places[0], places[-1], left, WIDTH - frame.right)
    parts = [frame.column(x(v), tick_text(v, places)) for v in places]
    parts.append(frame.name(x_label))
    for row, (strip, group, name) in enumerate(zip(strips, known, names, strict=True)):
        middle = frame.top + ROW * (row + 0.5)
        text = f'<text class="tick row" x="{left - 12:g}" y="{middle + 4:g}">'
        parts.append(f"{text}{escape(name)}</text>")
        parts += _row(strip, group, x, middle, most)
    return svg(parts, title, WIDTH, frame.height)


def _row(strip: Strip, group: Mapping[str, float], x: Scale, middle: float, most: int) -> list[str]:
    if not group:
        return []
    values = list(group.values())
    drawn = []
    if len(values) >= 4:
        low, high = (x(float(v)) for v in np.percentile(values, (25, 75)))
        drawn.append(
            f'<rect class="half" x="{low:.1f}" y="{middle - 13:g}" '
            f'width="{max(high - low, 1):.1f}" height="26" rx="3"/>'
        )
    drawn += _dots(_spaced(group, most), x, middle, strip.colour)
    return [*drawn, *_mean(float(np.mean(values)), strip.interval, x, middle)]


def _dots(group: Mapping[str, float], x: Scale, middle: float, colour: str) -> list[str]:
    """Cases spread up and down in a fixed pattern, so that equal figures stay apart."""
    spread = [((i * 0.618034) % 1 - 0.5) * ROW * 0.5 for i in range(len(group))]
    return [
        dot(x(value), middle + shift, colour, f"{case}: {value:.4g}", large=True)
        for shift, (case, value) in zip(spread, group.items(), strict=True)
    ]


def _mean(value: float, interval: tuple[float, float], x: Scale, middle: float) -> list[str]:
    mark = f'<path class="mean" d="M{x(value):.1f} {middle - 11:.1f}v22"/>'
    if not all(isfinite(v) for v in interval):
        return [mark]
    low, high = (x(v) for v in interval)
    return [f'<path class="interval" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>', mark]


def _spaced(group: Mapping[str, float], most: int) -> Mapping[str, float]:
    """All of them, or some from the lowest to the highest."""
    if len(group) <= most:
        return group
    ranked = sorted(group, key=lambda case: group[case])
    chosen = np.linspace(0, len(ranked) - 1, most).round().astype(int)
    return {ranked[i]: group[ranked[i]] for i in chosen}


def _axis(values: list[float], share: bool) -> list[float]:
    if share:
        return ticks(min([*values, 0.9]), 1.0)
    return ticks(min([*values, 0.0]), max([*values, 0.0]) or 1.0)


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 3]}..."
