"""A picture of a series: its slices in rows, with the outlines of the cord and of lesions."""

from pathlib import Path

import numpy as np

from delineate.io import atomic_path
from delineate.report.panel import Panel
from delineate.report.sheet import Sheet, draw_sheet
from delineate.systems.spine.cascade.outcome import Drawn, Outcome
from delineate.systems.spine.prediction.series_slices import Slices

__all__ = ["write_preview"]

COLUMNS, MOST = 5, 20
COLOURS = {"spinal cord": "#2fd6dd", "lesion": "#ff3d8b"}


def write_preview(path: Path, slices: Slices, drawn: Drawn, outcome: Outcome) -> None:
    """Draw the slices that were looked at; of more than 20, those with the most lesion."""
    shown = _shown(outcome)
    panels = [_panel(slices, drawn, number) for number in shown]
    left_out = sum(v.lesion_pixels is not None for v in outcome.slices) - len(shown)
    names = [name for name in COLOURS if any(name in panel.layers for panel in panels)]
    picture = draw_sheet(
        Sheet(
            title=outcome.series,
            subtitle=_told(outcome, left_out),
            rows=[panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)],
            legend={name: COLOURS[name] for name in names},
        )
    )
    with atomic_path(path) as part:
        picture.save(part, "PNG", optimize=True)


def _shown(outcome: Outcome) -> list[int]:
    seen = [i for i, verdict in enumerate(outcome.slices) if verdict.lesion_pixels is not None]
    most = sorted(seen, key=lambda i: -(outcome.slices[i].lesion_pixels or 0))
    return sorted(most[:MOST])


def _panel(slices: Slices, drawn: Drawn, number: int) -> Panel:
    masks: dict[str, np.ndarray] = {"lesion": drawn.lesion[number] > 0}
    if drawn.cord is not None:
        masks = {"spinal cord": drawn.cord[number] > 0, **masks}
    picture = slices.pictures[number]
    rows, columns = picture.shape[:2]
    return Panel(
        title="",
        pixels=picture,
        layers={name: mask for name, mask in masks.items() if mask.any()},
        colours=COLOURS,
        filled=False,
        size_mm=slices.size_mm if slices.scan else (float(columns), float(rows)),
        letters=slices.scan.plane.letters if slices.scan else "",
        corner=slices.names[number],
    )


def _told(outcome: Outcome, left_out: int) -> str:
    lesions = outcome.lesions or 0
    told = [f"{lesions} lesion{'s' * (lesions != 1)}"]
    if outcome.lesion_ml is not None:
        told.append(f"{outcome.lesion_ml:.3g} ml")
    used = sum(verdict.lesion_pixels is not None for verdict in outcome.slices)
    told.append(f"{used} of {len(outcome.slices)} slices were looked at")
    if left_out:
        told.append(f"{left_out} of them are not drawn here")
    return "   ".join(told)
