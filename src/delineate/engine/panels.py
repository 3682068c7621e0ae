"""Pictures of a few held-out cases at each validation, to see at a glance what is learnt.

One PNG a validation: a row a case, with the scan, the truth and the prediction on it side by side.
A case is shown in the slice with the most foreground, always the same one, so that two pictures can
be compared. Volumes are shown as radiologists look at them: the patient's right is on the left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8

from delineate.data import Cache
from delineate.engine.clock import Clock
from delineate.io import atomic_path
from delineate.labels import Labels
from delineate.plan import Plan
from delineate.report.figures import class_colours
from delineate.report.view import PICTURE, PLANES, Plane, cut
from delineate.tracking.tracker import Tracker

__all__ = ["Panels", "outlined", "save_picture", "stacked", "to_grey"]

HEIGHT = 256
"""Pixels of a row of the picture."""
WIDEST = 3.0
"""A slice is at most so many times as wide as it is high, or as high as wide."""
GAP = 4
DARKEST, BRIGHTEST = 0.5, 99.5
"""Percentiles of the slice that become black and white."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which slice of a case is shown, and what is known of it beforehand."""

    plane: Plane
    place: int
    grey: UInt8[np.ndarray, "rows columns"]
    truth: Bool[np.ndarray, "k rows columns"]


class Panels:
    """Takes the masks of a validation as they are made, and draws them when it ends.

    It watches the validation as a schedule does, and has no state: the slices hang on the truth.

    Args:
        cases: the held-out cases that are shown.
        folder: where `step_00000400.png` goes.
        trackers: what the pictures are handed to, by the name `panels`.
        clock: tells the step.
    """

    def __init__(
        self,
        cache: Cache,
        plan: Plan,
        cases: Sequence[str],
        *,
        folder: Path,
        trackers: Sequence[Tracker],
        clock: Clock,
    ) -> None:
        self.cache = cache
        self.plan = plan
        self.cases = tuple(cases)
        self.folder = folder
        self.trackers = tuple(trackers)
        self.clock = clock
        self._views: dict[str, View] = {}
        self._cuts: dict[str, np.ndarray] = {}

    def take(self, case: str, mask: np.ndarray) -> None:
        """The prediction of a case: channel indices (*s), or layers (k, *s); others pass by."""
        if case not in self.cases:
            return
        if case not in self._views:
            self._views[case] = _choose_view(self.cache, case, self.plan)
        view = self._views[case]
        self._cuts[case] = _layers(mask, self.plan.labels, view.plane, view.place)

    def observe(self, scores: Mapping[str, float]) -> None:
        """Draw what was taken since the last validation, and hand it on."""
        cuts, self._cuts = self._cuts, {}
        if not cuts:
            return
        rows = [self._row(self._views[case], cuts[case]) for case in self.cases if case in cuts]
        step = self.clock.step
        path = self.folder / f"step_{step:08d}.png"
        save_picture(stacked(rows), path)
        for tracker in self.trackers:
            tracker.log_picture("panels", path, step)

    def _row(self, view: View, prediction: np.ndarray) -> UInt8[np.ndarray, "rows columns rgb"]:
        size = _size(view, self.plan.spacing)
        colours = _colours(self.plan.labels)
        scan = _resized(view.grey, size)[..., None].repeat(3, axis=-1)
        drawn = [outlined(scan, masks, colours, size) for masks in (view.truth, prediction)]
        gap = np.zeros((size[0], GAP, 3), np.uint8)
        return np.concatenate([scan, gap, drawn[0], gap, drawn[1]], axis=1)


def _choose_view(cache: Cache, case: str, plan: Plan) -> View:
    """The fullest slice across the coarsest axis, the axial one where all are alike."""
    image = cache.read_image(case)[:1]
    truth = cache.read_mask(case)
    if image.ndim == 3:
        plane, place = PICTURE, 0
    else:
        plane = max(PLANES, key=lambda plane: round(plan.spacing[plane.axis or 0], 3))
        across = truth.ndim - 3 + (plane.axis or 0)
        areas = (truth > 0).sum(axis=tuple(a for a in range(truth.ndim) if a != across))
        place = int(areas.argmax()) if areas.any() else truth.shape[across] // 2
    return View(
        plane=plane,
        place=place,
        grey=to_grey(cut(image, plane, place)[0]),
        truth=_layers(truth, plan.labels, plane, place),
    )


def _layers(mask: np.ndarray, labels: Labels, plane: Plane, place: int) -> np.ndarray:
    """(k, rows, columns) bool of one slice, one layer per leaf of the labels."""
    # The slice first: a layer per class of a whole volume is more than memory may hold.
    if labels.overlapping:
        return cut(mask, plane, place) > 0
    codes = cut(mask[None], plane, place)[0]
    return np.stack([codes == channel for channel in range(1, labels.channels)])


def to_grey(values: np.ndarray) -> np.ndarray:
    """Its darkest and brightest percentiles as black and white, in 8 bits."""
    low, high = np.percentile(values, (DARKEST, BRIGHTEST))
    return np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)


def _size(view: View, spacing: Sequence[float]) -> tuple[int, int]:
    """Pixels of the shown slice, in its true proportions."""
    rows, columns = view.grey.shape
    wide = columns * spacing[view.plane.across] / (rows * spacing[view.plane.up])
    return HEIGHT, max(1, round(HEIGHT * min(max(wide, 1 / WIDEST), WIDEST)))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def outlined(
    scan: np.ndarray, masks: np.ndarray, colours: Int[np.ndarray, "k rgb"], size: tuple[int, int]
) -> np.ndarray:
    """A picture of `size` with the outline of each mask in its colour."""
    drawn = scan.copy()
    for mask, colour in zip(masks, colours, strict=True):
        drawn[_outline(_enlarged(mask, size))] = colour
    return drawn


def _enlarged(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each pixel takes the voxel that it lies in."""
    rows, columns = ((np.arange(n) * m) // n for n, m in zip(size, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]


def _outline(mask: np.ndarray) -> np.ndarray:
    """The mask's pixels, two deep, that border on something else."""
    inside = mask
    for _ in range(2):
        padded = np.pad(inside, 1)
        inside = (
            inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        )
    return mask & ~inside


def _colours(labels: Labels) -> np.ndarray:
    from PIL import ImageColor

    known = class_colours(labels.names, labels)
    shown = [ImageColor.getrgb(known[leaf.name])[:3] for leaf in labels.leaves]
    return np.array(shown, np.uint8).reshape(-1, 3)


def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """One picture, narrower rows filled up with black."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0))) for row in rows]
    return np.concatenate(padded)[:-GAP]


def save_picture(picture: np.ndarray, path: Path) -> None:
    """As a PNG that is there in whole, or not at all."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        Image.fromarray(picture).save(part, format="PNG")
