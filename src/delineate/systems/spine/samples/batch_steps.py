"""`batch_preprocess`, on samples that become a batch, and `postprocess`, on predictions.

In a batch, steps of ours, of albumentations and of torchvision treat each sample by itself, as in
`preprocess`. One of one's own is called with the tensor of all pictures (b, c, h, w), and with that
of all labels where both are its target.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from delineate.augment.conventions import seeded
from delineate.errors import ConfigError
from delineate.systems.spine.samples.batch import SliceBatch, as_batch
from delineate.systems.spine.samples.dataset import stream
from delineate.systems.spine.samples.label_steps import Classes
from delineate.systems.spine.samples.own_steps import own_step
from delineate.systems.spine.samples.steps import NAMES, Setting, build_steps, find_step
from delineate.systems.spine.schema.entries import Phase, Step
from delineate.systems.spine.slices.sample import Sample, Work, is_mask

__all__ = ["Collate", "Whole", "build_batch_steps", "postprocess"]

LIBRARIES = ("alb", "albumentations", "A", "tv", "torchvision")
"""What names of their transforms begin with."""

Whole = tuple[Callable[[Any], Any], tuple[str, ...]]
"""A step of one's own, and its targets."""


def build_batch_steps(steps: Sequence[Step], setting: Setting) -> list[Work | Whole]:
    """The steps of `batch_preprocess` in their order; those of other phases are left out."""
    built: list[Work | Whole] = []
    for place, step in enumerate(steps):
        where = f"data.batch_preprocess.{place}"
        if setting.phase not in step.phase:
            continue
        if step.name in NAMES or step.name.partition(".")[0] in LIBRARIES:
            built += build_steps([step], setting, where=where, remarks=False)
        else:
            kind = find_step(step.name, setting.folders, where=where)
            call = own_step(kind, step.params, where=where)
            built.append((call, step.target or ("data",)))
    return built


class Collate:
    """From samples to a batch; it travels to other processes.

    Args:
        steps: Of `batch_preprocess`.
        setting: What they are built for.
        seed: Of what they draw.
    """

    def __init__(self, steps: Sequence[Step], setting: Setting, *, seed: int) -> None:
        self.steps = tuple(steps)
        self.setting = setting
        self.seed = seed
        self._built: list[Work | Whole] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Built steps hold functions that cannot travel to a process started afresh.
        return {**self.__dict__, "_built": None}

    def check(self) -> None:
        """Build the steps, for what is wrong with them to be said at once."""
        self._built = build_batch_steps(self.steps, self.setting)

    def __call__(self, samples: Sequence[Sample]) -> SliceBatch:
        """The batch of these samples."""
        if self._built is None:
            self.check()
        for place, step in enumerate(self._built or (), 1):
            if isinstance(step, Work):
                samples = [self._one(step, sample, place) for sample in samples]
            else:
                samples = self._all(step, samples, place)
        return as_batch(samples, self._classes)

    @property
    def _classes(self) -> Classes | None:
        return Classes(self.setting.classes) if self.setting.task == "classification" else None

    def _one(self, work: Work, sample: Sample, place: int) -> Sample:
        rng = stream(self.seed, sample.number, place=place)
        with seeded(int(rng.integers(1 << 32))):
            return work.apply(sample, rng)

    def _all(self, step: Whole, samples: Sequence[Sample], place: int) -> list[Sample]:
        call, target = step
        batch = as_batch(samples, self._classes)
        seed = int(stream(self.seed, samples[0].number, place=place).integers(1 << 32))
        images, labels = batch.image, batch.label
        with seeded(seed):
            images = _tensor(call(images), len(samples)) if "data" in target else images
        if "label" in target and labels is not None:
            with seeded(seed):
                labels = _tensor(call(labels), len(samples))
        return [
            replace(
                sample,
                image=_last(image),
                label=sample.label if labels is None else _as_label(sample.label, labels[row]),
            )
            for row, (sample, image) in enumerate(zip(samples, images, strict=True))
        ]


def postprocess(
    steps: Sequence[Step],
    phase: Phase,
    prediction: Tensor,
    *,
    activated: bool,
    folders: Sequence[Path] = (),
) -> Tensor:
    """What the steps make of predictions (b, k, h, w) or (b, k).

    argmax of the former keeps one channel. A step on another target than `prediction` is a
    ConfigError, but for those that are on nothing said.

    Args:
        steps: Of `postprocess`.
        phase: Steps of other phases are passed over.
        prediction: Of the network.
        activated: Whether it holds probabilities already: then softmax and sigmoid do nothing.
        folders: Those that may hold steps of one's own.
    """
    for place, step in enumerate(steps):
        if phase not in step.phase:
            continue
        where = f"data.postprocess.{place}"
        if step.target and "prediction" not in step.target:
            raise ConfigError(f"{where}: {step.name} wants target: [prediction].")
        if step.name in ("softmax", "sigmoid"):
            prediction = prediction if activated else _ACTIVATE[step.name](prediction)
        elif step.name == "argmax":
            prediction = prediction.argmax(dim=1, keepdim=prediction.dim() > 2)
        elif step.name in NAMES or step.name.partition(".")[0] in LIBRARIES:
            raise ConfigError(
                f"{where}: {step.name} changes pictures and labels, not predictions. Fix: use "
                "softmax, sigmoid, argmax or a step of your own."
            )
        else:
            kind = find_step(step.name, folders, where=where)
            found = own_step(kind, step.params, where=where)(prediction)
            prediction = _tensor(found, len(prediction))
    return prediction


_ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda values: values.softmax(dim=1),
}


def _tensor(found: Any, count: int) -> Tensor:
    tensor = torch.as_tensor(found)
    if tensor.dim() == 0 or len(tensor) != count:
        raise ConfigError(
            f"a step of your own made {tuple(tensor.shape)} of a batch of {count}. "
            "Fix: keep the first axis."
        )
    return tensor


def _last(image: Tensor) -> np.ndarray:
    """(c, h, w) as (rows, columns[, channels])."""
    return image[0].numpy() if len(image) == 1 else image.movedim(0, -1).numpy()


def _as_label(before: Any, found: Tensor) -> Any:
    """A mask is one again, 0/1; a class its vector."""
    if is_mask(before):
        return (found[0] > 0.5).numpy().astype(np.uint8)
    return found.numpy()
