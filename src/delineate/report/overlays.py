"""Slices of a case as SVG figures: the scan, the outlines of truth and prediction, the errors.

The scan is a small picture; outlines and errors are paths over it, so they stay sharp at any size
and can be switched off.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from delineate.report.contours import contour
from delineate.report.view import Plane, View, cut, errors, layers

__all__ = ["draw_plane", "web_picture"]

LONGEST = 420
"""Pixels along the longer side of a picture."""
FINEST = 288
"""Voxels along a side that outlines are drawn of; of more, every second or third is taken."""


def draw_plane(
    view: View,
    plane: Plane,
    colours: Mapping[str, str],
    *,
    prediction: str | None,
    caption: str | None = None,
) -> str:
    """The slice with the largest foreground, with what there is of truth and prediction.

    Args:
        colours: By class.
        prediction: The name of the run whose mask is drawn.
        caption: In place of the name of the plane.
    """
    place = view.fullest(plane)
    width, height = _size(view, plane)
    masks = {"truth": view.truth}
    masks["prediction"] = None if prediction is None else view.predictions[prediction]
    cuts = {kind: _thinned(cut(m, plane, place)) for kind, m in masks.items() if m is not None}
    drawn = [_errors(cuts, view)]
    drawn += [_outlines(kind, layers(mask, view.labels), colours) for kind, mask in cuts.items()]
    name = caption or plane.name
    return (
        f'<figure class="plane"><svg viewBox="0 0 {width:.1f} {height:.1f}" role="img" '
        f'aria-label="{escape(_alternative(view, plane, place, cuts))}">'
        f'<image href="{_scan(view, plane, place, (width, height))}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
        f"{_scaled(drawn, cuts, width, height)}{_edges(plane.letters, width, height)}</svg>"
        f"{f'<figcaption>{escape(name)}</figcaption>' if name else ''}</figure>"
    )


def web_picture(pixels: np.ndarray, *, quality: int) -> str:
    """(rows, columns) or (rows, columns, 3) uint8 as a picture that lies in the page itself."""
    from PIL import Image, features

    # Every browser shows both; WebP is smaller, but a Pillow built by hand may lack it.
    kind = "WEBP" if features.check("webp") else "JPEG"
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, quality=quality)
    text = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"


def _size(view: View, plane: Plane) -> tuple[float, float]:
    """Width and height in its true proportions."""
    width = view.shape[plane.across] * view.spacing[plane.across]
    height = view.shape[plane.up] * view.spacing[plane.up]
    scale = LONGEST / max(width, height)
    return width * scale, height * scale


def _scan(view: View, plane: Plane, place: int, size: tuple[float, float]) -> str:
    """Pixels may be oblong, so the picture is brought to its true proportions."""
    from PIL import Image

    if view.is_colour:
        pixels = np.moveaxis(view.image, 0, -1)
    else:
        pixels = view.grey(cut(view.image[:1], plane, place)[0])
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    shape = max(1, round(size[0])), max(1, round(size[1]))
    return web_picture(np.asarray(picture.resize(shape, Image.Resampling.BICUBIC)), quality=84)


def _thinned(mask: np.ndarray) -> np.ndarray:
    step = -(-max(mask.shape[1:]) // FINEST)
    return mask[:, step // 2 :: step, step // 2 :: step]


def _scaled(
    drawn: Sequence[str], cuts: Mapping[str, np.ndarray], width: float, height: float
) -> str:
    """What is drawn in voxels, as large as the picture."""
    if not cuts:
        return ""
    rows, columns = next(iter(cuts.values())).shape[1:]
    return f'<g transform="scale({width / columns:.4f} {height / rows:.4f})">{"".join(drawn)}</g>'


def _outlines(kind: str, found: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> str:
    paths = "".join(
        f'<path d="{contour(layer)}" style="--c:{escape(colours[name])}">'
        f"<title>{escape(name)}</title></path>"
        for name, layer in found.items()
    )
    return f'<g class="{kind}">{paths}</g>'


def _errors(cuts: Mapping[str, np.ndarray], view: View) -> str:
    """What is missed, extra or of the wrong class, where both masks are there."""
    if len(cuts) < 2:
        return ""
    found = errors(cuts["truth"], cuts["prediction"], view)._asdict()
    paths = (f'<path class="{k}" d="{contour(mask)}"/>' for k, mask in found.items() if mask.any())
    return f'<g class="errors">{"".join(paths)}</g>'


def _alternative(view: View, plane: Plane, place: int, cuts: Mapping[str, np.ndarray]) -> str:
    """What the picture shows, for those who do not see it."""
    where = "picture"
    if plane.axis is not None:
        where = f"{plane.name} slice {place + 1} of {view.shape[plane.axis]}"
    kinds = " and ".join(cuts) or "no mask"
    text = f"{view.id}, {where}, with the outlines of {kinds}"
    if len(cuts) < 2:
        return text
    found = errors(cuts["truth"], cuts["prediction"], view)
    counts = [int(mask.sum()) for mask in found]
    return f"{text}: {counts[0]} voxels missed, {counts[1]} extra, {counts[2]} of a wrong class"


def _edges(letters: str, width: float, height: float) -> str:
    places = (12, height / 2), (width - 12, height / 2), (width / 2, 12), (width / 2, height - 12)
    return "".join(
        f'<text class="edge" x="{x:.0f}" y="{y:.0f}">{letter}</text>'
        for letter, (x, y) in zip(letters, places, strict=False)
    )
