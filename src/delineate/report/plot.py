"""One case as a PNG: the scan, the prediction, the truth and the errors, a row per plane."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.io import atomic_path, read_mask
from delineate.labels import Class, Labels
from delineate.metrics import Row, score_masks
from delineate.report.figures import class_colours
from delineate.report.panel import ERROR_COLOURS, Panel
from delineate.report.record import Scan
from delineate.report.sheet import Sheet, draw_sheet
from delineate.report.view import Plane, View, cut, errors, layers, planes_of, read_view

__all__ = ["PlaneName", "write_plot"]

PlaneName = Literal["axial", "coronal", "sagittal", "all"]
MOST_SCORES = 8
"""With more classes, the title gives the mean and the worst."""
PREDICTION = "prediction"


def write_plot(
    scan: Scan,
    out: Path,
    *,
    labels: Labels | None = None,
    plane: PlaneName = "all",
    place: int | None = None,
) -> Path:
    """Write a picture of a scan with whichever masks there are.

    Args:
        scan: With at most one prediction.
        labels: None takes every id in the masks as a class, named by its number.
        plane: Of a picture, `all` is the only one.
        place: The slice, from 0: of sagittal ones from the patient's left to the right, of coronal
            ones from behind to the front, of axial ones upwards. None takes the fullest.
    """
    if out.suffix.lower() != ".png":
        raise DataError(f"{out}: a plot is a PNG. Fix: give a name that ends in .png.")
    labels = labels or _labels_of(scan)
    view = read_view(scan, labels)
    planes = _planes(view, plane, place)
    colours = class_colours(labels.names, labels)
    name = next(iter(view.predictions), None)
    rows = [
        _row(view, one, view.fullest(one) if place is None else place, colours, name)
        for one in planes
    ]
    picture = draw_sheet(
        Sheet(
            title=scan.id,
            subtitle=_scores(scan, labels, view),
            rows=rows,
            legend=_legend(rows, colours, both=name is not None and view.truth is not None),
        )
    )
    with atomic_path(out) as part:
        picture.save(part, "PNG", optimize=True)
    return out


def _planes(view: View, name: PlaneName, place: int | None) -> Sequence[Plane]:
    """Those that were asked for, as far as the scan has them."""
    planes = planes_of(view)
    if len(planes) == 1 and (name != "all" or place is not None):
        raise DataError(
            f"{view.id}: a picture has one plane and no slices. Fix: leave out --plane and --slice."
        )
    if place is None:
        return [plane for plane in planes if name in ("all", plane.name)]
    if name == "all":
        raise DataError("plot: --slice counts along one axis. Fix: add --plane axial, for example.")
    chosen = next(plane for plane in planes if plane.name == name)
    size = view.shape[chosen.axis or 0]
    if not 0 <= place < size:
        raise DataError(
            f"{view.id}: there is no {name} slice {place}; they run from 0 to {size - 1}."
        )
    return [chosen]


def _row(
    view: View, plane: Plane, place: int, colours: Mapping[str, str], name: str | None
) -> list[Panel]:
    """Panels of one plane, from left to right."""
    pixels = np.moveaxis(view.image, 0, -1) if view.is_colour else None
    if pixels is None:
        pixels = view.grey(cut(view.image[:1], plane, place)[0])
    masks = {PREDICTION: None if name is None else view.predictions[name], "truth": view.truth}
    cuts = {kind: cut(mask, plane, place) for kind, mask in masks.items() if mask is not None}
    size = tuple(view.shape[a] * view.spacing[a] for a in (plane.across, plane.up))
    where = f"{plane.name} {place}" if plane.name else ""

    def panel(title: str, drawn: Mapping[str, np.ndarray], shades: Mapping[str, str]) -> Panel:
        return Panel(
            title=title, pixels=pixels, layers=drawn, colours=shades, filled=title == "errors",
            size_mm=size, letters=plane.letters, corner=where if title == "scan" else "",
        )  # fmt: skip

    panels = [panel("scan", {}, {})]
    panels += [panel(kind, layers(mask, view.labels), colours) for kind, mask in cuts.items()]
    if len(cuts) == 2:
        wrong = errors(cuts["truth"], cuts[PREDICTION], view)._asdict()
        panels.append(panel("errors", {k: m for k, m in wrong.items() if m.any()}, ERROR_COLOURS))
    return panels


def _legend(
    rows: Sequence[Sequence[Panel]], colours: Mapping[str, str], *, both: bool
) -> dict[str, str]:
    """The classes that are seen in any slice, in their order, and the errors."""
    seen = {name for row in rows for panel in row if not panel.filled for name in panel.layers}
    shown = {name: colour for name, colour in colours.items() if name in seen}
    errors_shown = {f"{k} class" if k == "wrong" else k: c for k, c in ERROR_COLOURS.items()}
    return shown | (errors_shown if both else {})


def _scores(scan: Scan, labels: Labels, view: View) -> str:
    """Dice by class, where both masks are there."""
    if scan.truth is None or not scan.predictions:
        return ""
    truth, prediction = (
        read_mask(path).array for path in (scan.truth, *list(scan.predictions.values())[:1])
    )
    rows = score_masks(prediction, truth, labels, view.spacing, case=scan.id)
    known = [row for row in rows if not isnan(row.values["dice"])]
    if not known:
        return "Dice: no class to compare"
    return f"Dice  {_spelled(known)}"


def _spelled(rows: Sequence[Row]) -> str:
    figures = [(row.label, row.values["dice"]) for row in rows]
    if len(figures) <= MOST_SCORES:
        return "   ".join(f"{name} {dice:.3f}" for name, dice in figures)
    mean = float(np.mean([dice for _, dice in figures]))
    name, worst = min(figures, key=lambda figure: figure[1])
    return f"mean of {len(figures)} classes {mean:.3f}   lowest {worst:.3f} ({name})"


def _labels_of(scan: Scan) -> Labels:
    """A class per id that any mask holds, or per mask where they overlap."""
    masks = [read_mask(p).array for p in (scan.truth, *scan.predictions.values()) if p is not None]
    number = max((len(mask) for mask in masks), default=1)
    if number > 1:
        classes = tuple(Class(name=str(i), id=i) for i in range(1, number + 1))
        return Labels(classes=classes, overlapping=True)
    ids = sorted({int(i) for mask in masks for i in np.unique(mask)} - {0})
    return Labels(classes=tuple(Class(name=str(i), id=i) for i in ids))
