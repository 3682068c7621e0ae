"""SegmentationSampler: pictures of a few slices of the validation, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from delineate.engine.panels import outlined, save_picture, stacked, to_grey
from delineate.systems.spine.learning.epoch_lines import last_step
from delineate.systems.spine.networks.values import chosen
from delineate.tracking.tracker import Tracker

__all__ = ["SegmentationSampler"]

NAME = "Segmentation Sample"
HEIGHT = 256
GAP = 4
LEGEND = 18
"""Pixels of the line that says what the colours are."""
GOLDEN = 0.6180339887
"""Its multiples, whole numbers taken off, lie far from each other: so do the smallest of them."""
COLOURS = np.array(
    [(230, 75, 53), (77, 187, 213), (0, 160, 135), (240, 180, 40), (132, 145, 220)], np.uint8
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A slice that is shown."""

    number: int
    """In the order of the data."""
    image: np.ndarray
    """(c, rows, columns)"""
    truth: np.ndarray
    """(rows, columns), as `found`."""
    found: np.ndarray

    @property
    def rank(self) -> tuple[bool, float]:
        """Lowest for slices to show: with something to find, far from each other in the data."""
        return not (self.truth > 0).any(), self.number * GOLDEN % 1

    def drawn(self) -> np.ndarray:
        """The slice, and beside it the two outlines."""
        rows, columns = self.truth.shape
        size = (HEIGHT, max(1, round(HEIGHT * columns / rows)))
        grey = _resized(to_grey(self.image[0]), size)[..., None].repeat(3, axis=-1)
        gap = np.zeros((size[0], GAP, 3), np.uint8)
        true, found = (outlined(grey, *_layers(m), size) for m in (self.truth, self.found))
        return np.concatenate([grey, gap, true, gap, found], axis=1)


class SegmentationSampler(Callback):
    """A row a slice: as the network saw it, with the true outline, with the predicted one.

    The slices are the same at every validation: some that show something, from all over the data,
    then others. The picture lies in the folder of the run and goes to every logger that takes
    pictures.

    Args:
        image_amount: How many slices.
        class_labels: What the ids of a mask are called.
        folder: Where the pictures go.
    """

    def __init__(
        self,
        image_amount: int = 3,
        class_labels: Mapping[int, str] | None = None,
        *,
        folder: Path,
    ) -> None:
        if image_amount < 1:
            raise ValueError(f"image_amount is {image_amount}. Fix: at least 1.")
        self.amount = image_amount
        self.labels = {int(k): str(v) for k, v in (class_labels or {1: "foreground"}).items()}
        self.folder = Path(folder)
        self._rows: list[Row] = []
        self._seen = 0

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._rows, self._seen = [], 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the slices that are shown."""
        if self._is_over(trainer) or not isinstance(outputs, Mapping):
            return
        found, truth = chosen(outputs["probabilities"]), batch.label[:, 0].round().long()
        for i in range(len(truth)):
            image, true, ids = (_plain(x[i]) for x in (batch.image, truth, found))
            self._rows.append(Row(number=self._seen, image=image, truth=true, found=ids))
            self._seen += 1
        self._rows = sorted(self._rows, key=lambda row: row.rank)[: self.amount]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw them, and hand the picture on."""
        rows, self._rows = sorted(self._rows, key=lambda row: row.number), []
        if self._is_over(trainer) or not rows or not trainer.is_global_zero:
            return
        path = self.folder / f"epoch_{trainer.current_epoch:03d}.png"
        save_picture(self._drawn(rows), path)
        for logger in trainer.loggers:
            if isinstance(logger, Tracker):
                logger.log_picture(NAME, path, last_step(trainer))

    @staticmethod
    def _is_over(trainer: Trainer) -> bool:
        """Whether this is a trial, or a look at weights that are trained."""
        return trainer.sanity_checking or trainer.state.fn is not TrainerFn.FITTING

    def _drawn(self, rows: Sequence[Row]) -> np.ndarray:
        pictures = [row.drawn() for row in rows]
        ids = sorted({int(k) for r in rows for m in (r.truth, r.found) for k in np.unique(m) if k})
        names = {k: self.labels.get(k, str(k)) for k in ids or self.labels}
        return stacked([*pictures, _legend(names, pictures[0].shape[1])])


def _plain(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).cpu().numpy()


def _layers(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids = [int(k) for k in np.unique(mask) if k > 0]
    colours = np.stack([_colour(k) for k in ids]) if ids else COLOURS[:0]
    return np.stack([mask == k for k in ids]) if ids else np.zeros((0, *mask.shape), bool), colours


def _colour(number: int) -> np.ndarray:
    return COLOURS[(number - 1) % len(COLOURS)]


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _legend(names: Mapping[int, str], width: int) -> np.ndarray:
    """What the panels are, and the colours by name."""
    from PIL import Image, ImageDraw

    line = Image.new("RGB", (width, LEGEND))
    draw = ImageDraw.Draw(line)
    draw.text((4, 3), "slice | truth | prediction", fill=(200, 200, 200))
    place = 180
    for number, name in names.items():
        colour = tuple(int(c) for c in _colour(number))
        draw.rectangle((place, 5, place + 8, 13), fill=colour)
        draw.text((place + 13, 3), name, fill=(230, 230, 230))
        place += 13 + 8 * (len(name) + 2)
    return np.asarray(line)
