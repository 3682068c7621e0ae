"""One slice with outlines or filled errors, drawn into a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from delineate.report.contours import loops

__all__ = ["ERROR_COLOURS", "Panel", "draw_panel", "font"]

ERROR_COLOURS = {"missed": "#ff3d8b", "extra": "#ffd21f", "wrong": "#2fd6dd"}
"""Missed is true but not predicted, extra is predicted but not true, wrong is of a wrong class."""
FINE = 2
"""Drawn this many times as large and shrunk, so that slanted lines are smooth."""
PALE, SOLID = 70, 150
"""How much of 255 covers the scan, inside an outline and in an error."""
LIGHT = (228, 230, 233)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A slice and what lies over it."""

    title: str
    pixels: np.ndarray
    """(rows, columns) or (rows, columns, 3) uint8."""
    layers: Mapping[str, np.ndarray]
    """(rows, columns) bool by name."""
    colours: Mapping[str, str]
    filled: bool
    """Whether the layers are areas without an outline."""
    size_mm: tuple[float, ...]
    """Across and upwards."""
    letters: str
    """At the left, right, top and bottom edge; empty for pictures."""
    corner: str
    """Written at the lower left."""


def draw_panel(panel: Panel, size: tuple[int, int]) -> Any:
    """The panel as a picture of that width and height."""
    from PIL import Image, ImageDraw

    large = size[0] * FINE, size[1] * FINE
    scan = Image.fromarray(np.ascontiguousarray(panel.pixels)).convert("RGB")
    picture = scan.resize(large, Image.Resampling.BICUBIC)
    for name, layer in panel.layers.items():
        _draw_layer(picture, layer, panel.colours[name], filled=panel.filled)
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    width, height = size
    places = (12, height / 2), (width - 12, height / 2), (width / 2, 13), (width / 2, height - 13)
    for letter, place in zip(panel.letters, places, strict=False):
        _write(draw, place, letter, "mm")
    if panel.corner:
        _write(draw, (8, height - 8), panel.corner, "ls")
    return picture


def font(size: int) -> Any:
    """Pillow's own letters, so that a plot looks alike on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_layer(picture: Any, layer: np.ndarray, colour: str, *, filled: bool) -> None:
    """Cover the layer palely, and draw its outline unless it is an area."""
    from PIL import Image, ImageColor, ImageDraw

    rows, columns = layer.shape
    rgb = ImageColor.getrgb(colour)
    # The nearest voxel keeps every hole and every lone voxel as it is.
    area = Image.fromarray(layer.astype(np.uint8) * (SOLID if filled else PALE))
    cover = area.resize(picture.size, Image.Resampling.NEAREST)
    picture.paste(Image.new("RGB", picture.size, rgb), mask=cover)
    if filled:
        return
    draw = ImageDraw.Draw(picture)
    across, down = picture.size[0] / columns, picture.size[1] / rows
    for loop in loops(layer):
        points = [(x * across, y * down) for x, y in (*loop, loop[0])]
        draw.line(points, fill=rgb, width=2 * FINE, joint="curve")


def _write(draw: Any, place: tuple[float, float], text: str, anchor: str) -> None:
    draw.text(
        place, text, fill=LIGHT, font=font(14), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
    )
