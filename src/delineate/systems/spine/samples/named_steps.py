"""The steps that have names of their own: labels, grey, lesions, shading, activations."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.errors import ConfigError
from delineate.systems.spine.samples.label_steps import (
    Classes,
    load_mask,
    to_argmax,
    to_sigmoid,
    to_softmax,
)
from delineate.systems.spine.samples.synthetic_steps import custom_bias_field, lesion_aug
from delineate.systems.spine.schema.entries import Phase, Step
from delineate.systems.spine.schema.named_arguments import arguments
from delineate.systems.spine.slices.sample import Apply, Sample, Task, Work, is_mask

__all__ = ["DEFAULTS", "NAMES", "Entry", "Setting"]

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What steps are built for."""

    phase: Phase
    task: Task | None
    """None where labels are unknown, as of pictures that are to be predicted."""
    classes: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    """Those that may hold steps of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step of the file that is being built."""

    step: Step
    target: tuple[str, ...]
    setting: Setting
    where: str

    def given(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The params as the function takes them."""
        return arguments(function, self.step.params, where=f"{self.where} ({self.step.name})")

    def work(self, apply: Apply, *, drawn: bool = False, of_class: bool = False) -> Work:
        """A step that is ready."""
        return Work(name=self.step.name, apply=apply, drawn=drawn, of_class=of_class)


def _encode(entry: Entry) -> Work:
    entry.given(_label_encoding)
    apply = _classes(entry).encode
    return entry.work(lambda sample, _: apply(sample), of_class=True)


def _label_encoding(*, ordered: bool = True) -> None:
    """Whether numbers follow the sorted names, or their order of appearance."""


def _one_hot(entry: Entry) -> Work:
    entry.given(_nothing)
    apply = _classes(entry).one_hot
    return entry.work(lambda sample, _: apply(sample), of_class=True)


def _classes(entry: Entry) -> Classes:
    if entry.setting.task == "segmentation":
        raise ConfigError("wants classes, but the slices have masks. Fix: leave it out.")
    return Classes(entry.setting.classes)


def _load(entry: Entry) -> Work:
    entry.given(_nothing)
    if entry.setting.task == "classification":
        raise ConfigError(
            "wants masks, but the slices have classes. Fix: use the crawler segmentation_file."
        )
    return entry.work(lambda sample, _: load_mask(sample))


def _grey(entry: Entry) -> Work:
    entry.given(_nothing)
    return entry.work(lambda sample, _: replace(sample, image=to_grey(sample.image)))


def to_grey(image: np.ndarray) -> np.ndarray:
    """(rows, columns) of a picture in colour, by luminance; grey stays as it is."""
    if image.ndim == 2:
        return image
    if image.shape[-1] == 1:
        return image[..., 0]
    if image.dtype != np.uint8:
        return (image[..., :3] @ np.asarray(LUMA, np.float32)).astype(image.dtype)
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(image[..., :3])).convert("L"))


def _lesions(entry: Entry) -> Work:
    given = entry.given(lesion_aug)
    if entry.setting.task == "classification":
        raise ConfigError("wants masks of the cord, but the slices have classes.")
    apply = lesion_aug(**given)
    if entry.setting.phase != "train" and not given.get("evaluation"):
        return entry.work(lambda sample, _: sample)
    return entry.work(apply, drawn=True)


def _shading(entry: Entry) -> Work:
    return entry.work(custom_bias_field(**entry.given(custom_bias_field)), drawn=True)


def _values(change: Callable[[np.ndarray], Any]) -> Callable[[Entry], Work]:
    """A step on values: of the label where it is a vector, of the picture."""

    def build(entry: Entry) -> Work:
        entry.given(_nothing)
        target = entry.target

        def apply(sample: Sample, _: np.random.Generator) -> Sample:
            image = change(sample.image) if "data" in target else sample.image
            label = sample.label
            if "label" in target and isinstance(label, np.ndarray) and not is_mask(label):
                label = change(label)
            return replace(sample, image=image, label=label)

        return entry.work(apply, of_class="data" not in target)

    return build


def _nothing() -> None:
    """Takes no arguments."""


NAMES: dict[str, Callable[[Entry], Work]] = {
    "argmax": _values(to_argmax),
    "custom_bias_field": _shading,
    "label_encoding": _encode,
    "lesion_aug": _lesions,
    "load_segmentation_label": _load,
    "one_hot_encoding": _one_hot,
    "sigmoid": _values(to_sigmoid),
    "softmax": _values(to_softmax),
    "to_gray": _grey,
}
"""Steps by their own names."""
DEFAULTS: dict[str, tuple[str, ...]] = {
    "custom_bias_field": ("data",),
    "label_encoding": ("label",),
    "load_segmentation_label": ("label",),
    "one_hot_encoding": ("label",),
    "to_gray": ("data",),
}
"""What a step works on where its entry does not say; others on picture and mask."""
