"""Line and strip charts as SVG in the page's own colours, so that they follow light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

import numpy as np

from delineate.labels import Labels

__all__ = ["Series", "class_colours", "legend", "line_chart", "strip_chart"]

PALETTE = (
    "#2f7fe0", "#f2762e", "#17a673", "#c94fd6", "#d3a10f", "#12a5c4",
    "#e5484d", "#7c66dc", "#6fa01d", "#d6408c", "#9a6b45", "#5b7a99",
)  # fmt: skip
"""Told apart by lightness as well as hue; readable on white, on black and on a grey scan."""

WIDTH, HEIGHT = 520, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 12, 40
STRIP_WIDTH, ROW = 720, 36
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


@dataclass(frozen=True, slots=True)
class Scale:
    """From figures to places along one axis."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def class_colours(names: Sequence[str], labels: Labels | None) -> dict[str, str]:
    """The colour of each class throughout the page: the declared one, or the next of a palette."""
    declared = {c.name: c.colour for c in labels.classes if c.colour} if labels else {}
    chosen = {}
    for i, name in enumerate(names):
        colour = declared.get(name)
        chosen[name] = (
            "#{:02x}{:02x}{:02x}".format(*colour) if colour else PALETTE[i % len(PALETTE)]
        )
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
    x_ticks = _ticks(0.0, max(s.x.max() for s in lines))
    low, high = _range([s.y for s in lines], top)
    y_ticks = _ticks(low, high)
    x = Scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid_line(y(v), _tick_text(v, y_ticks)) for v in y_ticks]
    parts += [_x_tick(x(v), _tick_text(v, x_ticks)) for v in x_ticks]
    parts.append(
        f'<text class="name" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}">{escape(x_label)}</text>'
    )
    for line in sorted(lines, key=lambda s: s.strong):
        parts += _draw(line, x, y)
    return _svg(parts, title, WIDTH, HEIGHT)


def strip_chart(
    groups: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    intervals: Mapping[str, tuple[float, float]],
    *,
    title: str,
) -> str:
    """A row of dots per class, one dot per case, with the mean and its interval beneath them."""
    known = {n: {c: v for c, v in g.items() if isfinite(v)} for n, g in groups.items()}
    values = [v for group in known.values() for v in group.values()]
    ticks = _ticks(min([*values, 0.9]), 1.0)
    height = TOP + ROW * len(known) + BOTTOM
    margin = min(150, 20 + 7 * max(len(name) for name in known))
    x = Scale(ticks[0], ticks[-1], margin, STRIP_WIDTH - 20)
    parts = [_column_line(x(v), _tick_text(v, ticks), height - BOTTOM) for v in ticks]
    name = f'<text class="name" x="{STRIP_WIDTH - 20}" y="{height - 4}">Dice per case</text>'
    parts.append(name)
    for row, (name, group) in enumerate(known.items()):
        middle = TOP + ROW * (row + 0.5)
        parts.append(
            f'<text class="tick row" x="{margin - 12}" y="{middle + 4}">{escape(name)}</text>'
        )
        parts += _dots(group, x, middle, colours[name])
        parts += _mean_mark(group, intervals[name], x, middle)
    return _svg(parts, title, STRIP_WIDTH, height)


def _draw(line: Series, x: Scale, y: Scale) -> list[str]:
    xs, ys = _thinned(line.x), _thinned(line.y)
    colour = escape(line.colour)
    if len(xs) == 1:
        return [_dot(x(xs[0]), y(ys[0]), 3.5, colour, f"{line.name}: {ys[0]:.4g}")]
    kind = "line strong" if line.strong else "line"
    if line.smooth and len(xs) > 12:
        raw = f'<path class="line raw" stroke="{colour}" d="{_path(xs, ys, x, y)}"/>'
        path = _path(xs, _running_mean(ys), x, y)
        return [raw, f'<path class="{kind}" stroke="{colour}" d="{path}"/>']
    drawn = [f'<path class="{kind}" stroke="{colour}" d="{_path(xs, ys, x, y)}"/>']
    if len(xs) <= 40:
        texts = [f"{line.name}, step {a:.0f}: {b:.4g}" for a, b in zip(xs, ys, strict=True)]
        places = zip(xs, ys, texts, strict=True)
        drawn += [_dot(x(a), y(b), 2.6, colour, text) for a, b, text in places]
    return drawn


def _path(xs: np.ndarray, ys: np.ndarray, x: Scale, y: Scale) -> str:
    places = (f"{x(a):.1f} {_within(y(b)):.1f}" for a, b in zip(xs, ys, strict=True))
    return "M" + "L".join(places)


def _within(place: float) -> float:
    """A first loss far above the rest is cut off at the frame."""
    return max(TOP, place)


def _dots(group: Mapping[str, float], x: Scale, middle: float, colour: str) -> list[str]:
    """Cases spread up and down in a fixed pattern, so that equal figures stay apart."""
    spread = [((i * 0.618034) % 1 - 0.5) * ROW * 0.5 for i in range(len(group))]
    return [
        _dot(x(value), middle + shift, 3.0, escape(colour), f"{case}: {value:.4f}", "dot")
        for shift, (case, value) in zip(spread, group.items(), strict=True)
    ]


def _mean_mark(
    group: Mapping[str, float], interval: tuple[float, float], x: Scale, middle: float
) -> list[str]:
    if not group:
        return []
    place = x(float(np.mean(list(group.values()))))
    mark = f'<path class="mean" d="M{place:.1f} {middle - 11:.1f}v22"/>'
    if not all(isfinite(v) for v in interval):
        return [mark]
    low, high = (x(v) for v in interval)
    return [f'<path class="interval" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>', mark]


def _dot(x: float, y: float, radius: float, colour: str, text: str, kind: str = "point") -> str:
    title = f"<title>{escape(text)}</title>"
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle class="{kind}" {place} fill="{colour}">{title}</circle>'


def _grid_line(y: float, text: str) -> str:
    line = f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
    return f'{line}<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}">{text}</text>'


def _x_tick(x: float, text: str) -> str:
    return f'<text class="tick below" x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}">{text}</text>'


def _column_line(x: float, text: str, bottom: float) -> str:
    line = f'<path class="grid" d="M{x:.1f} {TOP}V{bottom:.1f}"/>'
    return f'{line}<text class="tick below" x="{x:.1f}" y="{bottom + 17:.1f}">{text}</text>'


def _svg(parts: Sequence[str], title: str, width: float, height: float) -> str:
    box = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"'
    return f'<svg class="chart" {box}>{"".join(parts)}</svg>'


def _range(values: Sequence[np.ndarray], top: float | None) -> tuple[float, float]:
    """What the axis must show; without a fixed top, a few very high figures may leave it."""
    every = np.concatenate(list(values))
    low = float(every.min())
    if top is not None:
        return low, top
    usual = float(np.percentile(every, 99))
    high = usual if every.max() > 2 * usual > 0 else float(every.max())
    return min(low, 0.0), high


def _ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round figures that enclose low..high."""
    span = (high - low) or abs(high) or 1.0
    rough = span / wanted
    unit = 10.0 ** floor(log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _tick_text(value: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    decimals = max(0, -floor(log10(step) + 1e-9))
    if abs(step * 10**decimals % 1) > 1e-6:
        decimals += 1
    return f"{value:,.{decimals}f}".replace(",", "\u2009")


def _thinned(values: np.ndarray) -> np.ndarray:
    """Means of neighbouring figures where there are more than a screen can show."""
    if len(values) <= MOST_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, MOST_POINTS)])


def _running_mean(values: np.ndarray) -> np.ndarray:
    width = max(3, len(values) // 15) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")
