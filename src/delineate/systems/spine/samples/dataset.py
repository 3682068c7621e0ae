"""Samples by number, for any loader of PyTorch: a pure function of seed, epoch and slice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from delineate.io.paths import split_reference
from delineate.systems.spine.samples.cache import Kept, SliceCache
from delineate.systems.spine.samples.sample_chain import Chain
from delineate.systems.spine.samples.steps import Setting, build_steps
from delineate.systems.spine.schema.entries import Step
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.sample import Sample, is_mask

__all__ = ["Recipe", "SliceDataset", "stream"]


def stream(seed: int, number: int, *, place: int = 0) -> np.random.Generator:
    """The chance of a sample, of its batch from place 1 on."""
    # The third word of the counter keeps this stream apart from that of the order.
    bits = np.random.Philox(key=(seed, number), counter=(0, 0, 3, place))
    return np.random.Generator(bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the samples of a phase are made by; it travels to other processes."""

    steps: tuple[Step, ...]
    setting: Setting
    seed: int

    def chain(self, *, remarks: bool = False) -> Chain:
        """The steps, built."""
        return Chain.of(build_steps(self.steps, self.setting, remarks=remarks))


class SliceDataset(Dataset[Sample]):
    """Sample i + e * len(self) is slice i in epoch e; val and test are alike in every epoch.

    Args:
        slices: Of one phase.
        recipe: What is done to them.
        cache: Where what does not depend on chance is kept; None decodes every time.
    """

    def __init__(
        self, slices: Sequence[Slice], recipe: Recipe, *, cache: SliceCache | None = None
    ) -> None:
        self.slices = tuple(slices)
        self.recipe = recipe
        self.cache = cache
        self._chain: Chain | None = None
        self._scans: dict[str, list[int]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Built steps hold functions that cannot travel to a process started afresh.
        return {**self.__dict__, "_chain": None}

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, number: int) -> Sample:
        if self._chain is None:
            self._chain = self.recipe.chain()
        index = number % len(self)
        number = number if self.recipe.setting.phase == "train" else index
        sample = replace(self._kept(self._chain, index), number=number)
        return self._chain.finish(sample, stream(self.recipe.seed, number))

    def _kept(self, chain: Chain, index: int) -> Sample:
        """The slice after the steps without chance, read or made."""
        item = self.slices[index]
        if self.cache is None:
            return chain.begin(item)
        kept = self.cache.get(index)
        if kept is not None:
            found = Sample(image=kept.image, label=kept.mask, item=item, size=kept.size)
            return chain.resume(item, found)
        wanted = chain.begin(item)
        self._keep(index, wanted)
        for other in self._neighbours(index):
            # A scan is decoded as a whole: its other slices cost little while it is at hand.
            if other != index and self.cache.get(other) is None:
                self._keep(other, chain.begin(self.slices[other]))
        return wanted

    def _keep(self, index: int, sample: Sample) -> None:
        assert self.cache is not None
        mask = sample.label if is_mask(sample.label) else None
        same = mask is None or mask.shape == sample.image.shape[:2]
        if same and sample.image.dtype.kind in "uif" and (mask is None or mask.dtype == np.uint8):
            self.cache.put(index, Kept(sample.image, mask, sample.size))

    def _neighbours(self, index: int) -> Sequence[int]:
        """The slices of the same scan."""
        if not self._scans:
            for place, item in enumerate(self.slices):
                if "::" in item.input_path:
                    scan = split_reference(item.input_path)
                    self._scans.setdefault(f"{scan.path}::{scan.item}", []).append(place)
        reference = self.slices[index].input_path
        if "::" not in reference:
            return ()
        scan = split_reference(reference)
        return self._scans[f"{scan.path}::{scan.item}"]
