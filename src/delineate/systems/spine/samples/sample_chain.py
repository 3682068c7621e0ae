"""The steps of one phase in a row: first those without chance, whose result can be kept."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from delineate.augment.conventions import seeded
from delineate.errors import DataError
from delineate.systems.spine.slices.reading import read_slice
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.sample import Sample, Work, is_mask

__all__ = ["Chain", "decoded"]

VERSION = 1
"""Goes up where decoding or a step without chance gives other values than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What becomes of a slice."""

    fixed: tuple[Work, ...]
    """Depend on the slice alone."""
    drawn: tuple[Work, ...]
    """From the first one on that depends on chance."""

    @classmethod
    def of(cls, works: Sequence[Work]) -> "Chain":
        """The steps, parted where chance begins."""
        at = next((i for i, work in enumerate(works) if work.drawn), len(works))
        return cls(fixed=tuple(works[:at]), drawn=tuple(works[at:]))

    @property
    def key(self) -> str:
        """A hash of all that the fixed steps do."""
        text = "\n".join((str(VERSION), *(work.key for work in self.fixed)))
        return sha256(text.encode()).hexdigest()

    def begin(self, item: Slice) -> Sample:
        """The slice after the fixed steps."""
        return _run(self.fixed, decoded(item), 0, np.random.default_rng(0))

    def resume(self, item: Slice, kept: Sample) -> Sample:
        """A kept sample with its class, in the form that the fixed steps give it."""
        if is_mask(kept.label):
            return replace(kept, item=item)
        known = [work for work in self.fixed if work.of_class]
        found = replace(kept, item=item, label=item.label)
        return _run(known, found, 0, np.random.default_rng(0))

    def finish(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample after the steps with chance."""
        if self.drawn:
            sample = _run(self.drawn, sample, int(rng.integers(1 << 32)), rng)
        if is_mask(sample.label) and sample.label.shape != sample.image.shape[:2]:
            name = "" if sample.item is None else f"{sample.item.input_path}: "
            raise DataError(
                f"{name}after the steps the picture is {_times(sample.image)} and its mask "
                f"{_times(sample.label)}. Fix: target: [data, label] where a step cuts or resizes."
            )
        return sample


def decoded(item: Slice) -> Sample:
    """A slice as its driver reads it."""
    image = read_slice(item.input_path)
    return Sample(image=image, label=item.label, item=item, size=(image.shape[0], image.shape[1]))


def _run(works: Sequence[Work], sample: Sample, seed: int, rng: np.random.Generator) -> Sample:
    with seeded(seed) if any(work.foreign for work in works) else nullcontext():
        for work in works:
            sample = work.apply(sample, rng)
    return sample


def _times(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape[:2]))
