"""Two runs on the same cases: one against the other, and what each case gained."""

from collections.abc import Mapping
from html import escape

import numpy as np

from delineate.report.axes import Frame, dot, svg, tick_text, ticks

__all__ = ["difference_chart", "scatter_chart"]

SQUARE = Frame(width=400, height=400, left=52, top=26)
WIDE = Frame(width=620, height=400, left=58, top=26)
MOST = 150
"""Cases that are drawn; of more, as many at even distances by their difference."""

Pairs = Mapping[str, tuple[float, float]]
"""The figures of both runs, by case."""


def scatter_chart(pairs: Pairs, names: tuple[str, str], colour: str, *, metric: str) -> str:
    """A dot per case: across what the first scores, upwards what the second scores."""
    values = np.array(list(pairs.values()))
    places = ticks(float(values.min()), float(values.max()))
    x, y = SQUARE.scales(places, places)
    parts = SQUARE.grid(places, places, x_label=names[0])
    parts.append(_above(SQUARE, names[1]))
    ends = f"M{x(places[0]):g} {y(places[0]):g}L{x(places[-1]):g} {y(places[-1]):g}"
    parts.append(f'<path class="equal" d="{ends}"/>')
    parts += [
        dot(x(a), y(b), colour, f"{case}: {a:.4g} and {b:.4g}", large=True)
        for case, (a, b) in _spaced(pairs).items()
    ]
    title = f"{metric} of each case, {names[1]} against {names[0]}"
    return svg(parts, title, SQUARE.width, SQUARE.height)


def difference_chart(
    pairs: Pairs, names: tuple[str, str], colours: tuple[str, str], *, metric: str
) -> str:
    """A bar per case in order: the second less the first, in the colour of the higher."""
    shown = _spaced(pairs)
    heights = [b - a for a, b in shown.values()]
    places = ticks(min([*heights, 0.0]), max([*heights, 0.0]))
    _, y = WIDE.scales((0.0, 1.0), places)
    step = (WIDE.width - WIDE.left - WIDE.right) / max(len(shown), 1)
    thick = max(min(step * 0.72, 18), 1)
    parts = [WIDE.level(y(v), _signed(v, places)) for v in places]
    parts.append(f'<path class="zero" d="M{WIDE.left:g} {y(0):.1f}H{WIDE.width - WIDE.right:g}"/>')
    for place, (case, height) in enumerate(zip(shown, heights, strict=True)):
        low, high = sorted((y(0.0), y(height)))
        box = (
            f'x="{WIDE.left + step * (place + 0.5) - thick / 2:.1f}" y="{low:.1f}" '
            f'width="{thick:.1f}" height="{max(high - low, 0.6):.1f}"'
        )
        text = f"<title>{escape(f'{case}: {height:+.4g}')}</title>"
        parts.append(f'<rect class="bar" {box} fill="{colours[height > 0]}">{text}</rect>')
    parts += [_above(WIDE, f"{names[1]} less {names[0]}"), WIDE.name("cases by difference")]
    return svg(parts, f"Difference of {metric} per case", WIDE.width, WIDE.height)


def _spaced(pairs: Pairs) -> Pairs:
    """By difference, from the first's greatest lead to the second's."""
    ranked = sorted(pairs, key=lambda case: pairs[case][1] - pairs[case][0])
    if len(ranked) > MOST:
        ranked = [ranked[i] for i in np.linspace(0, len(ranked) - 1, MOST).round().astype(int)]
    return {case: pairs[case] for case in ranked}


def _above(frame: Frame, text: str) -> str:
    """What the axis upwards counts, above its end."""
    return f'<text class="name start" x="{frame.left:g}" y="12">{escape(text)}</text>'


def _signed(value: float, places: list[float]) -> str:
    text = tick_text(value, places)
    return f"+{text}" if value > 0 else text
