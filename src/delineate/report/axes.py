"""What charts share: round ticks, scales, the frame with its grid, dots that tell their figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

__all__ = ["Frame", "Scale", "dot", "svg", "tick_text", "ticks"]


@dataclass(frozen=True, slots=True)
class Scale:
    """From figures to places along one axis."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The place of a figure."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A chart of two axes: its size, and the margins around what is drawn."""

    width: float
    height: float
    left: float = 44
    right: float = 20
    top: float = 12
    bottom: float = 40

    def scales(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> tuple[Scale, Scale]:
        """Places of figures between the outermost ticks."""
        return (
            Scale(x_ticks[0], x_ticks[-1], self.left, self.width - self.right),
            Scale(y_ticks[0], y_ticks[-1], self.height - self.bottom, self.top),
        )

    def grid(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], *, x_label: str
    ) -> list[str]:
        """A line and a figure for each tick of y, a figure for each of x, and the name of x."""
        x, y = self.scales(x_ticks, y_ticks)
        parts = [self.level(y(v), tick_text(v, y_ticks)) for v in y_ticks]
        below = self.height - self.bottom + 17
        parts += [
            f'<text class="tick below" x="{x(v):.1f}" y="{below:g}">{tick_text(v, x_ticks)}</text>'
            for v in x_ticks
        ]
        return [*parts, self.name(x_label)]

    def level(self, y: float, text: str) -> str:
        """A line across, with its figure at the left."""
        line = f'<path class="grid" d="M{self.left:g} {y:.1f}H{self.width - self.right:g}"/>'
        return f'{line}<text class="tick" x="{self.left - 8:g}" y="{y + 4:.1f}">{text}</text>'

    def column(self, x: float, text: str) -> str:
        """A line downwards, with its figure below."""
        bottom = self.height - self.bottom
        line = f'<path class="grid" d="M{x:.1f} {self.top:g}V{bottom:.1f}"/>'
        return f'{line}<text class="tick below" x="{x:.1f}" y="{bottom + 17:.1f}">{text}</text>'

    def name(self, text: str) -> str:
        """What the axis across counts, below its end."""
        place = f'x="{self.width - self.right:g}" y="{self.height - 4:g}"'
        return f'<text class="name" {place}>{escape(text)}</text>'


def svg(parts: Sequence[str], title: str, width: float, height: float) -> str:
    """The chart as a picture that says what it shows."""
    box = f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"'
    return f'<svg class="chart" {box}>{"".join(parts)}</svg>'


def dot(x: float, y: float, colour: str, text: str, *, large: bool = False) -> str:
    """A figure of one case, or a point of a line, that tells what it is under the pointer."""
    kind, radius = ("dot", 3) if large else ("point", 2.6)
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{escape(colour)}"'
    return f'<circle class="{kind}" {place}><title>{escape(text)}</title></circle>'


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round figures that enclose low..high."""
    span = (high - low) or abs(high) or 1.0
    rough = span / wanted
    unit = 10.0 ** floor(log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def tick_text(value: float, places: Sequence[float]) -> str:
    """As many decimals as the step between the ticks needs."""
    step = places[1] - places[0]
    decimals = max(0, -floor(log10(step) + 1e-9))
    scaled = step * 10**decimals
    if abs(scaled - round(scaled)) > 1e-6:
        decimals += 1
    return f"{value:,.{decimals}f}".replace(",", "\u2009")
