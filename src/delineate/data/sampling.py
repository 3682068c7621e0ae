"""Which case a training sample shows, and where: a pure function of the seed and its number.

Samples are numbered through the run, so nothing is carried from one to the next: neither the number
of reading processes, nor a restart, nor a batch cut in two changes one.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import floor
from typing import Final, TypeVar

import numpy as np

from delineate.data.cache import Cache
from delineate.data.patches import patch_anywhere, patch_around
from delineate.errors import DataError

__all__ = ["Sampling"]

_T = TypeVar("_T")

# The two streams of chance, told apart by the second word of the generator's key.
_ORDER: Final = 0
_PATCH: Final = 1


class Sampling:
    """Sample `number` of training: its case and the first voxel of its patch.

    A share `rare` of the samples, evenly spread, begins with a class: each class as often, then one
    of the cases that have it, then a place in it. The others take the cases in a shuffled order,
    each once per epoch; a share `foreground` of them lies around a structure of its case, each
    class as often. Where the case has none, another case that has some takes its turn, so that at
    most 1 - foreground of these samples can be empty however many healthy cases there are.
    """

    def __init__(
        self,
        cache: Cache,
        ids: Sequence[str],
        *,
        patch: tuple[int, ...],
        seed: int,
        foreground: float,
        rare: float,
    ) -> None:
        self._cache = cache
        self._ids = tuple(ids)
        self._patch = patch
        self._seed = seed
        self._foreground = foreground
        self._rare = rare
        self._channels = {case: sorted(cache.facts(case).counts) for case in self._ids}
        self._holders: dict[int, list[str]] = {}
        for case, channels in self._channels.items():
            for channel in channels:
                self._holders.setdefault(channel, []).append(case)
        self._known = sorted(self._holders)
        self._filled = [case for case in self._ids if self._channels[case]]
        if rare and not self._filled:
            raise DataError(
                f"none of the {len(self._ids)} cases shows a labelled structure, so rare ones "
                "cannot be shown more often. Fix: train.rare=0."
            )

    def __call__(self, number: int) -> tuple[str, tuple[int, ...]]:
        """The sample's case, and the first voxel of its patch (maybe negative)."""
        rng = _generator(self._seed, _PATCH, number)
        before = floor(number * self._rare)
        if floor((number + 1) * self._rare) > before:
            return self._of_a_class(rng)
        case = self._in_turn(number - before)
        if rng.random() >= self._foreground or not self._filled:
            return case, patch_anywhere(rng, self._cache.shape(case), self._patch)
        if not self._channels[case]:
            case = _one_of(self._filled, rng)
        return case, self._around(case, _one_of(self._channels[case], rng), rng)

    def _of_a_class(self, rng: np.random.Generator) -> tuple[str, tuple[int, ...]]:
        channel = _one_of(self._known, rng)
        case = _one_of(self._holders[channel], rng)
        return case, self._around(case, channel, rng)

    def _around(self, case: str, channel: int, rng: np.random.Generator) -> tuple[int, ...]:
        places = self._cache.places(case, channel)
        place = places[int(rng.integers(len(places)))].tolist()
        return patch_around(rng, self._cache.shape(case), self._patch, place)

    def _in_turn(self, number: int) -> str:
        epoch, place = divmod(number, len(self._ids))
        return self._ids[int(_shuffled(self._seed, epoch, len(self._ids))[place])]


def _one_of(things: Sequence[_T], rng: np.random.Generator) -> _T:
    return things[int(rng.integers(len(things)))]


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, cases: int) -> np.ndarray:
    return _generator(seed, _ORDER, epoch).permutation(cases)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    # Philox counts up in the lower words of the counter: the upper ones keep streams apart.
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, number]))
