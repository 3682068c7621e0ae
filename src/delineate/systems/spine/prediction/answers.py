"""What trained networks say of the slices of a series: probabilities of classes, or of pixels."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from delineate.errors import ConfigError

__all__ = ["Answerer", "Prepare", "Prepared", "Trained", "choose_device", "threshold"]


log = logging.getLogger("delineate")


class Trained(Protocol):
    """A network from a checkpoint."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of classes, in the order of the probabilities."""
        ...

    @property
    def task(self) -> str:
        """classification or segmentation."""
        ...

    def predict(self, images: Tensor) -> Tensor:
        """Probabilities (b, k) of classes, or (b, k, h, w) of pixels, of images (b, c, h, w)."""
        ...


class Prepared(Protocol):
    """A picture as a network takes it, and the way back."""

    @property
    def image(self) -> Tensor:
        """(1, c, h, w)."""
        ...

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Values (k, h, w) on the pixels of the picture."""
        ...


Prepare = Callable[[np.ndarray], Prepared]
"""From a picture (rows, columns[, 3]) uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """A trained network together with how it is asked."""

    trained: Trained
    prepare: Prepare
    finish: Callable[[Tensor], Tensor] = lambda probabilities: probabilities
    """What is done to probabilities before they are read."""
    device: str = "cpu"
    batch: int = 16
    """Slices that go through the network together."""

    def classify(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(n, k) probabilities of each class; a network of one output tells the second of two."""
        prepared = [self.prepare(picture) for picture in pictures]
        found = np.concatenate([answers for _, answers in self._ask(prepared)])
        return found if found.shape[1] > 1 else np.concatenate((1 - found, found), 1)

    def name_of(self, number: int) -> str:
        """The name of a class; its number where a network has more outputs than known classes."""
        known = self.trained.classes or ()
        return known[number] if number < len(known) else str(number)

    def segment(self, pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """(k, rows, columns) probabilities of each picture in turn, on its own pixels."""
        for start in range(0, len(pictures), self.batch):
            chunk = [self.prepare(picture) for picture in pictures[start : start + self.batch]]
            for prepared, answers in self._ask(chunk):
                for one, values in zip(prepared, answers, strict=True):
                    yield one.restore(values)

    def _ask(self, prepared: Sequence[Prepared]) -> Iterator[tuple[Sequence[Prepared], np.ndarray]]:
        """The answers in batches; images of another size than those before begin a new one."""
        for batch in _batches(prepared, self.batch):
            images = torch.cat([one.image for one in batch]).to(self.device)
            with torch.inference_mode():
                found = self.finish(self.trained.predict(images))
            yield batch, found.float().cpu().numpy()


def threshold(probabilities: np.ndarray, confidence: float) -> np.ndarray:
    """Ids (rows, columns) uint8 of (k, rows, columns); 0 is background.

    One channel is foreground from `confidence` on, and so is the second of two. Of more, background
    first, the most probable counts.
    """
    if len(probabilities) > 2:
        return probabilities.argmax(0).astype(np.uint8)
    return (probabilities[-1] >= confidence).astype(np.uint8)


def choose_device(wish: str) -> str:
    """auto, cpu, cuda or cuda:N for PyTorch; the processor where there is no card at all."""
    kind, _, number = wish.partition(":")
    if wish not in ("auto", "cpu", "cuda") and not (kind == "cuda" and number.isdigit()):
        raise ConfigError(f"device: '{wish}' is none of auto, cpu, cuda, cuda:0 and so on.")
    count = torch.cuda.device_count()
    if wish == "cpu" or not count:
        if kind == "cuda":
            log.info("There is no CUDA card here: the processor predicts.")
        return "cpu"
    if int(number or 0) >= count:
        raise ConfigError(
            f"device: '{wish}', but the last CUDA card here is cuda:{count - 1}. "
            "Fix: name one that is there, or auto."
        )
    return "cuda" if wish == "auto" else wish


def _batches(prepared: Sequence[Prepared], size: int) -> Iterator[list[Prepared]]:
    batch: list[Prepared] = []
    for one in prepared:
        if batch and (len(batch) == size or batch[0].image.shape != one.image.shape):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch
