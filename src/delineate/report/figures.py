"""Lines over an axis as SVG in the page's own colours, so that they follow light and dark."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from delineate.labels import Labels
from delineate.report.axes import Frame, Scale, dot, svg, ticks

__all__ = ["PALETTE", "Series", "class_colours", "legend", "line_chart"]

PALETTE = (
    "#2f7fe0", "#f2762e", "#17a673", "#c94fd6", "#d3a10f", "#12a5c4",
    "#e5484d", "#7c66dc", "#6fa01d", "#d6408c", "#9a6b45", "#5b7a99",
)  # fmt: skip
"""Told apart by lightness as well as hue; readable on white, on black and on a grey scan."""

GOLDEN = 0.618034
"""Steps of this share of the circle never come back to a hue."""
FRAME = Frame(width=520, height=270)
MOST_POINTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart."""

    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    strong: bool = False
    """Drawn thicker, above the others."""
    smooth: bool = False
    """Drawn as a running mean, with the raw figures pale behind it."""


def class_colours(names: Sequence[str], labels: Labels | None) -> dict[str, str]:
    """The colour of each class throughout the page: the declared one, or the next of a palette."""
    declared = {c.name: c.colour for c in labels.classes if c.colour} if labels else {}
    chosen = {}
    for i, name in enumerate(names):
        colour = declared.get(name)
        chosen[name] = "#{:02x}{:02x}{:02x}".format(*colour) if colour else _palette(i)
    return chosen


def legend(colours: Mapping[str, str]) -> str:
    """Names with their colours, as a list above a chart."""
    items = (
        f'<li><i style="background:{escape(colour)}"></i>{escape(name)}</li>'
        for name, colour in colours.items()
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def line_chart(
    series: Sequence[Series], *, title: str, x_label: str, top: float | None = None
) -> str:
    """Lines over an axis from 0; `top` fixes the upper end of the other, such as 1 for Dice."""
    lines = [s for s in series if len(s.x)]
    x_ticks = ticks(0.0, max(s.x.max() for s in lines))
    y_ticks = ticks(*_range([s.y for s in lines], top))
    x, y = FRAME.scales(x_ticks, y_ticks)
    parts = FRAME.grid(x_ticks, y_ticks, x_label=x_label)
    for line in sorted(lines, key=lambda s: s.strong):
        parts += _draw(line, x, y, x_label)
    return svg(parts, title, FRAME.width, FRAME.height)


def _palette(place: int) -> str:
    """The first twelve were chosen by eye; each one further is a hue and lightness of its own."""
    if place < len(PALETTE):
        return PALETTE[place]
    lightness = (0.42, 0.58, 0.72)[place % 3]
    parts = colorsys.hls_to_rgb(place * GOLDEN % 1, lightness, 0.62)
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * part) for part in parts))


def _draw(line: Series, x: Scale, y: Scale, x_label: str) -> list[str]:
    colour = escape(line.colour)
    kind = "line strong" if line.strong else "line"
    xs, ys = _thinned(line.x), _thinned(line.y)
    if line.smooth and len(ys) > 12:
        raw = f'<path class="line raw" stroke="{colour}" d="{_path(xs, ys, x, y)}"/>'
        path = _path(xs, _running_mean(ys), x, y)
        return [raw, f'<path class="{kind}" stroke="{colour}" d="{path}"/>']
    drawn = [f'<path class="{kind}" stroke="{colour}" d="{_path(xs, ys, x, y)}"/>']
    if len(xs) <= 40:
        drawn += [
            dot(x(a), y(b), line.colour, f"{line.name}, {x_label} {a:g}: {b:.4g}")
            for a, b in zip(xs.tolist(), ys.tolist(), strict=True)
        ]
    return drawn


def _path(xs: np.ndarray, ys: np.ndarray, x: Scale, y: Scale) -> str:
    places = (f"{x(a):.1f} {_within(y(b)):.1f}" for a, b in zip(xs, ys, strict=True))
    return "M" + "L".join(places)


def _within(place: float) -> float:
    """A first loss far above the rest is cut off at the frame."""
    return max(FRAME.top, place)


def _range(values: Sequence[np.ndarray], top: float | None) -> tuple[float, float]:
    """What the axis must show; without a fixed top, a few very high figures may leave it."""
    every = np.concatenate(list(values))
    low = float(every.min())
    if top is not None:
        return low, top
    usual = float(np.percentile(every, 99))
    high = usual if every.max() > 2 * usual > 0 else float(every.max())
    return min(low, 0.0), high


def _thinned(values: np.ndarray) -> np.ndarray:
    """Means of neighbouring figures where there are more than a screen can show."""
    if len(values) <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])


def _running_mean(values: np.ndarray) -> np.ndarray:
    width = max(3, len(values) // 15) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
