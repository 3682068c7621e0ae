"""Pictures of an evaluation: samples with their outlines, and structures as bars."""

import tempfile
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import numpy as np

from delineate.io import atomic_path, read_volume, write_mask
from delineate.labels import Labels
from delineate.report.figures import PALETTE
from delineate.report.panel import font
from delineate.report.plot import write_plot
from delineate.report.record import Scan
from delineate.systems.sadaan.dataset import HDF5MedicalDataset
from delineate.systems.sadaan.detailed_metrics import Findings

__all__ = ["draw_bars", "draw_sample"]

INK, SOFT, PALE = (29, 31, 35), (98, 103, 111), (228, 230, 233)
BAR, GAP, MARGIN, LENGTH = 14, 12, 24, 480


def draw_sample(
    samples: HDF5MedicalDataset, place: int, masks: np.ndarray, found: Findings, out: Path
) -> Path:
    """Write sample_<place>.png: image, prediction, truth and errors in three planes.

    The title names the scenario and the structures whose presence is told wrongly.

    Args:
        samples: The split.
        place: Of the sample in it.
        masks: Predicted, (structures, *s) 0/1, in canonical axes.
        found: Of all samples.
        out: The folder.
    """
    labels = Labels.from_names(
        {name: i for i, name in enumerate(samples.structure_names, 1)}, overlapping=True
    )
    image = samples.reference("images", place)
    with tempfile.TemporaryDirectory() as folder:
        # One structure would be a mask of ids; as overlapping masks both read alike.
        prediction = Path(folder) / "prediction.h5"
        write_mask(prediction, masks, like=read_volume(image))
        scan = Scan(
            id=_title(place, found),
            image=image,
            truth=samples.reference("masks", place),
            predictions={"prediction": prediction},
        )
        return write_plot(scan, out / f"sample_{place:05d}.png", labels=labels)


def draw_bars(
    figures: Mapping[str, Mapping[str, float]], out: Path, *, title: str, series: Sequence[str]
) -> Path:
    """Write a PNG with a group of bars from 0 to 1 for each name, one bar for each series.

    Args:
        figures: By name, then by series; NaN has no bar.
        out: The PNG.
        title: Above it.
        series: In the order of the bars.
    """
    from PIL import Image, ImageDraw

    letters = font(14)
    left = MARGIN + max(round(letters.getlength(name)) for name in figures) + GAP
    group = BAR * len(series) + GAP
    top = MARGIN + 56
    size = left + LENGTH + 80 + MARGIN, top + group * len(figures) + 24 + MARGIN
    picture = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, fill=INK, font=font(18))
    across = MARGIN
    for colour, name in zip(PALETTE, series, strict=False):
        draw.rectangle((across, MARGIN + 32, across + 11, MARGIN + 43), fill=colour)
        draw.text((across + 18, MARGIN + 44), name, fill=INK, font=letters, anchor="ls")
        across += 18 + round(letters.getlength(name)) + 22
    bottom = top + group * len(figures)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + tick * LENGTH
        draw.line((x, top, x, bottom), fill=PALE)
        draw.text((x, bottom + 18), f"{tick:g}", fill=SOFT, font=letters, anchor="ms")
    for number, (name, values) in enumerate(figures.items()):
        y = top + number * group + GAP // 2
        middle = y + BAR * len(series) / 2
        draw.text((left - GAP, middle), name, fill=INK, font=letters, anchor="rm")
        for place, (key, colour) in enumerate(zip(series, PALETTE, strict=False)):
            value = values[key]
            if isnan(value):
                continue
            low = y + place * BAR
            end = left + value * LENGTH
            draw.rectangle((left, low + 1, end, low + BAR - 2), fill=colour)
            draw.text(
                (end + 6, low + BAR / 2), f"{value:.3f}", fill=SOFT, font=font(12), anchor="lm"
            )
    with atomic_path(out) as part:
        picture.save(part, "PNG", optimize=True)
    return out


def _title(place: int, found: Findings) -> str:
    scenario = found.scenarios[place]
    wrong = [
        f"{name} ({'absent' if called else 'present'}, {probability:.2f})"
        for name, called, right, probability in zip(
            found.structures,
            found.called[place],
            found.right[place],
            found.probability[place],
            strict=True,
        )
        if not right
    ]
    told = f"presence wrong: {', '.join(wrong)}" if wrong else "presence right"
    return "  ".join(filter(None, (f"sample {place}", scenario, told)))
