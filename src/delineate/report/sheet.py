"""Panels in rows on white, with a title above and a legend below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from delineate.report.panel import Panel, draw_panel, font

__all__ = ["Sheet", "draw_sheet"]

LONGEST = 420
"""Pixels of the longest side of any panel."""
LEAST = 24
"""Pixels of the shortest side."""
MARGIN, GAP = 24, 8
INK, SOFT = (29, 31, 35), (98, 103, 111)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What is on the picture."""

    title: str
    subtitle: str
    rows: Sequence[Sequence[Panel]]
    legend: Mapping[str, str]
    """Names and their colours."""


def draw_sheet(sheet: Sheet) -> Any:
    """The whole picture; all panels have the same mm per pixel."""
    from PIL import Image, ImageDraw

    longest = max(max(panel.size_mm) for row in sheet.rows for panel in row)
    sizes = [_size(row[0], LONGEST / longest) for row in sheet.rows]
    cell = max(width for width, _ in sizes)
    columns = len(sheet.rows[0])
    width = 2 * MARGIN + columns * cell + (columns - 1) * GAP
    width = max(width, 2 * MARGIN + LONGEST)
    title, subtitle = _wrapped(sheet.title, 19, width), _wrapped(sheet.subtitle, 15, width)
    head = MARGIN + 26 * len(title) + 22 * len(subtitle) + 30
    entries = _placed(sheet.legend, width)
    body = sum(height + GAP for _, height in sizes)
    foot = max((y for _, _, _, y in entries), default=0) + 24 if entries else 0
    picture = Image.new("RGB", (width, head + body + foot + MARGIN - GAP), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    _lines(draw, title, 19, INK, MARGIN)
    _lines(draw, subtitle, 15, SOFT, MARGIN + 26 * len(title))
    top = head
    for row, (wide, high) in zip(sheet.rows, sizes, strict=True):
        for column, panel in enumerate(row):
            left = MARGIN + column * (cell + GAP)
            if top == head:
                draw.text((left, head - 8), panel.title, fill=SOFT, font=font(14), anchor="ls")
            picture.paste((0, 0, 0), (left, top, left + cell, top + high))
            picture.paste(draw_panel(panel, (wide, high)), (left + (cell - wide) // 2, top))
        top += high + GAP
    for name, colour, x, y in entries:
        draw.ellipse((x, top + y + 6, x + 11, top + y + 17), fill=colour)
        draw.text((x + 18, top + y + 17), name, fill=INK, font=font(14), anchor="ls")
    return picture


def _size(panel: Panel, scale: float) -> tuple[int, int]:
    """Pixels across and down, in true proportions."""
    across, up = panel.size_mm
    return max(LEAST, round(across * scale)), max(LEAST, round(up * scale))


def _placed(legend: Mapping[str, str], width: int) -> list[tuple[str, str, int, int]]:
    """Name, colour and place of each entry, in lines that fit the width."""
    x, y, found = MARGIN, 8, []
    for name, colour in legend.items():
        long = 18 + round(font(14).getlength(name))
        if x > MARGIN and x + long > width - MARGIN:
            x, y = MARGIN, y + 22
        found.append((name, colour, x, y))
        x += long + 22
    return found


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines that fit; a word that is longer than a line is cut."""
    letters = font(size)
    lines: list[str] = []
    for word in text.split("  "):
        together = f"{lines[-1]}  {word}" if lines else word
        if lines and letters.getlength(together) <= width - 2 * MARGIN:
            lines[-1] = together
        elif word.strip():
            lines.append(_shortened(word.strip(), size, width - 2 * MARGIN))
    return lines


def _shortened(text: str, size: int, most: float) -> str:
    letters = font(size)
    if letters.getlength(text) <= most:
        return text
    while text and letters.getlength(f"{text}...") > most:
        text = text[:-1]
    return f"{text}..."


def _lines(draw: Any, lines: Sequence[str], size: int, colour: tuple[int, ...], top: int) -> None:
    for number, line in enumerate(lines):
        place = MARGIN, top + (26 if size > 16 else 22) * number + size
        draw.text(place, line, fill=colour, font=font(size), anchor="ls")
