"""Lines and tables on stdout.

On a terminal, a long cell is cut; into a pipe or a file every line goes whole.
"""

from collections.abc import Iterable, Sequence
from math import isnan
from textwrap import fill

from rich.console import Console

__all__ = ["GAP", "count", "say", "say_wrapped", "short", "show_table", "times"]

console = Console(highlight=False, markup=False, emoji=False)

NARROWEST = 10
"""No column is cut below so many characters."""
GAP = "  "


def say(text: str, style: str | None = None) -> None:
    """One line, however long."""
    console.print(text, style=style, soft_wrap=True)


def say_wrapped(text: str, margin: int, style: str | None = None) -> None:
    """A line, on a terminal folded between words, its second and further lines indented."""
    if console.is_terminal:
        indent = text[:margin]
        text = fill(
            text[margin:], console.width, initial_indent=indent, subsequent_indent=" " * margin
        )
    say(text, style=style)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print one line per row; figures are right-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if console.is_terminal:
        widths = _narrow(widths, console.width - len(GAP) * (len(widths) - 1))
    figures = [all(map(_is_figure, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(lines):
        placed = map(_place, line, widths, figures or [False] * len(widths))
        say(GAP.join(placed).rstrip(), style=None if number else "bold")


def _narrow(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit, the widest columns cut first."""
    narrow = list(widths)
    while sum(narrow) > room and max(narrow) > NARROWEST:
        narrow[narrow.index(max(narrow))] -= 1
    return narrow


def _place(text: str, width: int, figure: bool) -> str:
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return text.rjust(width) if figure else text.ljust(width)


def times(sizes: Sequence[float]) -> str:
    """Sizes as people write them: 64x64x32."""
    return "x".join(map(short, sizes))


def short(size: float) -> str:
    """Whole numbers as they are, others with four digits."""
    return str(size) if isinstance(size, int) else f"{size:.4g}"


def count(things: Sequence[object], name: str) -> str:
    """How many there are: '1 case', '2 cases'."""
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.{1 if abs(value) < 1000 else 0}f}"


def _is_figure(text: str) -> bool:
    return text in ("", "-") or text.lstrip("-").replace(".", "", 1).isdigit()
