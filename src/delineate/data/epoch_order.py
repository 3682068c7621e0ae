"""Which items an epoch has, and in what order, for loops of PyTorch and of Lightning.

A number counts on through the epochs: item i of n is i + e * n in epoch e, so that whatever is
drawn for an item can be a pure function of its number.
"""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, Final

import numpy as np
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler

__all__ = ["Loader", "Order", "WeightedOrder"]

AGAIN: Final = 1 << 24
"""Epochs that the second drawing of an item in one epoch is away from the first."""


class Loader(DataLoader[Any]):
    """Begins to read when the first batch is asked for: Lightning tells the epoch just before."""

    # The base class promises an iterator of its own; whoever loops asks for batches only.
    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The batches of a pass."""
        yield from super().__iter__()


class Order(DistributedSampler[int]):
    """The numbers of an epoch's samples, dealt to the processes of a training in turns.

    Process r of w has every w-th of the order, from the r-th on: together, w batches are the batch
    of one process. Without `set_epoch` every pass is the next epoch. Lightning leaves alone what is
    a DistributedSampler; how many processes there are is found out when a pass begins.

    Args:
        dataset: What is numbered.
        shuffle: Whether the order is drawn.
        seed: Of the order.
        even: Whether all processes have as many samples, the first ones of the order coming again;
            otherwise each sample comes once, and again only for a process that has none.
    """

    def __init__(self, dataset: Sized, *, shuffle: bool, seed: int, even: bool) -> None:
        # The base class only keeps it; its Dataset is not a Sized by type.
        anything: Any = dataset
        super().__init__(anything, num_replicas=1, rank=0, shuffle=shuffle, seed=seed)
        self._count = len(dataset)
        self._even = even

    def __iter__(self) -> Iterator[int]:
        """The numbers of this process."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        rank, world = _process()
        order = self._drawn(epoch)
        return iter(np.resize(order, self._dealt(world))[rank::world].tolist())

    def __len__(self) -> int:
        rank, world = _process()
        return len(range(rank, self._dealt(world), world))

    @property
    def length(self) -> int:
        """How many numbers an epoch has."""
        return self._count

    def _drawn(self, epoch: int) -> np.ndarray:
        """The numbers of an epoch."""
        order = np.arange(self._count)
        if self.shuffle:
            order = _stream(self.seed, epoch).permutation(self._count)
        return epoch * self._count + order

    def _dealt(self, world: int) -> int:
        """How many numbers all processes have together."""
        return -(-self.length // world) * world if self._even else max(self.length, world)


class WeightedOrder(Order):
    """Items drawn by weight, each time anew; an item that comes again has another number.

    Args:
        weights: Of each item; those of weight 0 never come.
        draws: How many items an epoch has.
        replacement: Whether an item may come again in one epoch.
        seed: Of the order.
    """

    def __init__(
        self, weights: Sequence[float], *, draws: int, replacement: bool, seed: int
    ) -> None:
        super().__init__(weights, shuffle=True, seed=seed, even=True)
        given = np.asarray(weights, np.float64)
        possible = int((given > 0).sum())
        if not np.isfinite(given).all() or given.min() < 0 or not possible:
            raise ValueError("weights are numbers of at least 0, and some are above")
        if draws < 1 or (not replacement and draws > possible):
            raise ValueError(f"{draws} draws of {possible} items, replacement={replacement}")
        self._shares = given / given.sum()
        self._draws = draws
        self._replacement = replacement

    @property
    def length(self) -> int:
        """How many numbers an epoch has."""
        return self._draws

    def _drawn(self, epoch: int) -> np.ndarray:
        chosen = _stream(self.seed, epoch).choice(
            self._count, self._draws, replace=self._replacement, p=self._shares
        )
        order = np.argsort(chosen, kind="stable")
        ranked = chosen[order]
        first = np.searchsorted(ranked, ranked, side="left")
        again = np.empty_like(chosen)
        again[order] = np.arange(len(chosen)) - first
        return chosen + self._count * (epoch + AGAIN * again)


def _stream(seed: int, epoch: int) -> np.random.Generator:
    # The third word of the counter keeps this stream apart from that of the samples.
    return np.random.Generator(np.random.Philox(key=(seed, 0), counter=(0, 0, 2, epoch)))


def _process() -> tuple[int, int]:
    """The number of this process in a training, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
