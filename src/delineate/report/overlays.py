"""Three planes through the largest foreground of a case: the scan, the truth and the prediction.

The scan is a small picture; outlines are paths over it, so they stay sharp at any size and can be
switched off. Volumes are shown as radiologists look at them: the patient's right is on the left.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from delineate.errors import DataError
from delineate.io import Volume, read_mask, read_volume
from delineate.labels import Labels
from delineate.report.contours import contour
from delineate.report.record import Scan

__all__ = ["Plane", "draw_case"]

LONGEST = 420
"""Pixels along the longer side of a picture."""
DARKEST, BRIGHTEST = 0.5, 99.7
"""Percentiles of the shown part that become black and white."""

_PLANES = {2: ("axial", 0, 1, "RLAP"), 1: ("coronal", 0, 2, "RLSI"), 0: ("sagittal", 1, 2, "APSI")}
"""By the axis that is cut: the name, the axes from left to right and from bottom to top, and the
letters at the left, right, top and bottom edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One cut as it is shown: rows from the top, columns from the left."""

    name: str
    grey: np.ndarray
    """(rows, columns) or (rows, columns, 3), uint8."""
    truth: np.ndarray
    """(k, rows, columns) bool, one layer per leaf of the labels."""
    prediction: np.ndarray
    pixel: tuple[float, float]
    """mm per row and per column."""
    letters: str
    """At the left, right, top and bottom edge; empty for pictures."""


def draw_case(scan: Scan, labels: Labels, colours: Mapping[str, str]) -> str:
    """The planes of one case as SVG figures; a file that cannot be read is a DataError."""
    if scan.truth is None or scan.prediction is None:
        raise DataError(f"{scan.id}: {'no truth' if scan.truth is None else 'not predicted yet'}")
    image, truth, prediction = (
        read_volume(scan.image), read_mask(scan.truth), read_mask(scan.prediction)
    )  # fmt: skip
    if not image.shape == truth.shape == prediction.shape:
        raise DataError(f"{scan.id}: scan, truth and prediction differ in shape")
    layers = [_layers(mask.array, labels) for mask in (truth, prediction)]
    shown = [colours[leaf.name] for leaf in labels.leaves]
    return "".join(_figure(plane, shown) for plane in _planes(image, *layers))


def _layers(mask: np.ndarray, labels: Labels) -> np.ndarray:
    """(k, *s) bool, one layer per leaf."""
    if labels.overlapping:
        return mask > 0
    return np.stack([mask[0] == leaf.id for leaf in labels.leaves])


def _planes(image: Volume, truth: np.ndarray, prediction: np.ndarray) -> Iterator[Plane]:
    grey = _to_grey(image.array)
    if len(image.shape) == 2:
        picture = np.moveaxis(grey, 0, -1) if len(grey) == 3 else grey[0]
        yield Plane(
            name="", grey=picture, truth=truth, prediction=prediction, pixel=(1.0, 1.0), letters=""
        )
        return
    goal = np.logical_or.reduce(truth if truth.any() else prediction)
    for axis, (name, across, up, letters) in _PLANES.items():
        place = _fullest(goal, axis)
        cuts = [_upright(a, axis, place) for a in (grey[:1], truth, prediction)]
        pixel = image.spacing[up], image.spacing[across]
        yield Plane(
            name=name, grey=cuts[0][0], truth=cuts[1], prediction=cuts[2],
            pixel=pixel, letters=letters,
        )  # fmt: skip


def _fullest(goal: np.ndarray, axis: int) -> int:
    """The slice with the largest foreground; the middle one where there is none."""
    areas = goal.sum(axis=tuple(a for a in range(goal.ndim) if a != axis))
    return int(areas.argmax()) if areas.any() else goal.shape[axis] // 2


def _upright(array: np.ndarray, axis: int, place: int) -> np.ndarray:
    """(k, rows, columns) of one slice: up is up, and the first spatial axis runs to the left."""
    cut = np.take(array, place, axis=1 + axis)
    return cut.swapaxes(1, 2)[:, ::-1, ::-1]


def _to_grey(array: np.ndarray) -> np.ndarray:
    """0..255 between two percentiles of what is not background."""
    if array.dtype == np.uint8 and len(array) == 3:
        return array
    first = array[:1].astype(np.float32)
    sample = first[first > first.min()]
    low, high = np.percentile(sample, (DARKEST, BRIGHTEST)) if sample.size else (0.0, 1.0)
    return np.clip((first - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)


def _figure(plane: Plane, colours: list[str]) -> str:
    rows, columns = plane.grey.shape[:2]
    height, width = rows * plane.pixel[0], columns * plane.pixel[1]
    scale = LONGEST / max(height, width)
    height, width = height * scale, width * scale
    grow = f'transform="scale({width / columns:.4f} {height / rows:.4f})"'
    truth = _outlines(plane.truth, colours)
    prediction = _outlines(plane.prediction, colours)
    picture = _picture(plane.grey, round(width), round(height))
    caption = f"<figcaption>{escape(plane.name)}</figcaption>" if plane.name else ""
    return (
        f'<figure class="plane"><svg viewBox="0 0 {width:.1f} {height:.1f}" role="img">'
        f'<image href="{picture}" width="{width:.1f}" height="{height:.1f}"/>'
        f'<g {grow} class="truth">{truth}</g><g {grow} class="prediction">{prediction}</g>'
        f"{_edges(plane.letters, width, height)}</svg>{caption}</figure>"
    )


def _outlines(layers: np.ndarray, colours: list[str]) -> str:
    paths = ((contour(layer), c) for layer, c in zip(layers, colours, strict=True) if layer.any())
    return "".join(f'<path d="{path}" style="--c:{escape(colour)}"/>' for path, colour in paths)


def _edges(letters: str, width: float, height: float) -> str:
    places = (12, height / 2), (width - 12, height / 2), (width / 2, 12), (width / 2, height - 12)
    return "".join(
        f'<text class="edge" x="{x:.0f}" y="{y:.0f}">{letter}</text>'
        for letter, (x, y) in zip(letters, places, strict=False)
    )


def _picture(grey: np.ndarray, width: int, height: int) -> str:
    """A JPEG in the page itself; pixels may be oblong, so it is brought to its true proportions."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(grey))
    picture = picture.resize((max(1, width), max(1, height)), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
