"""The order that `trainer.sampler` asks for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from delineate.data.epoch_order import Order, WeightedOrder
from delineate.errors import ConfigError
from delineate.systems.spine.schema.entries import Named
from delineate.systems.spine.schema.named_arguments import arguments, pick
from delineate.systems.spine.slices.reading import read_mask_of
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.table import Table

__all__ = ["each_once", "training_order"]

WEIGHTED = "WeightedRandomSampler"
PLAIN = {"DistributedSampler": True, "RandomSampler": True, "SequentialSampler": False}
"""Whether the order is drawn."""


def each_once(slices: Sequence[Slice]) -> Order:
    """Each slice once, in the order of the table."""
    return Order(slices, shuffle=False, seed=0, even=False)


def training_order(table: Table, asked: Named | None, *, seed: int) -> Order:
    """The order of the training slices; drawn anew in every epoch unless asked otherwise."""
    slices = table.of("train")
    if asked is None:
        return Order(slices, shuffle=True, seed=seed, even=True)
    known = {**PLAIN, WEIGHTED: True}
    shuffle = pick(asked.name, known, what="trainer.sampler:")
    if asked.name != WEIGHTED:
        return Order(slices, shuffle=shuffle, seed=seed, even=True)
    where = f"trainer.sampler ({WEIGHTED})"
    given = arguments(_weighted, asked.params, where=where)
    weights = _weights(given.get("weights"), slices, table.classes, where)
    try:
        return WeightedOrder(
            weights,
            draws=given.get("num_samples") or len(slices),
            replacement=given.get("replacement", True),
            seed=seed,
        )
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.") from None


def _weighted(
    *, weights: Any = None, num_samples: int | None = None, replacement: bool = True
) -> None:
    """What the sampler takes: weights by class, and how many slices an epoch draws."""


def _weights(
    said: Any, slices: Sequence[Slice], classes: tuple[str, ...] | None, where: str
) -> list[float]:
    """Of each slice; without a word each class comes equally often."""
    names = [item.label or "" if classes else _content(item) for item in slices]
    if said is None:
        counts = Counter(names)
        return [1 / counts[name] for name in names]
    if isinstance(said, Mapping):
        by_name = {str(name): float(weight) for name, weight in said.items()}
        return [pick(name, by_name, what=f"{where}: weights for") for name in names]
    listed = [float(weight) for weight in said]
    if classes is not None and len(listed) == len(classes):
        by_name = dict(zip(classes, listed, strict=True))
        return [by_name[name] for name in names]
    if len(listed) == len(slices):
        return listed
    raise ConfigError(
        f"{where}: {len(listed)} weights for {len(classes or ())} classes and {len(slices)} "
        "slices. Fix: leave weights out to see each class equally often, or give one a class."
    )


def _content(item: Slice) -> str:
    """Of a mask, whether it shows anything."""
    shown = item.label is not None and read_mask_of(item.input_path, item.label).any()
    return "foreground" if shown else "background"
