"""What `pipeline` does to the table of a source: order and thinning out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from delineate.errors import ConfigError
from delineate.systems.spine.schema.entries import Named
from delineate.systems.spine.schema.named_arguments import arguments, pick
from delineate.systems.spine.slices.rows import Slice

__all__ = ["run_pipeline"]

COLUMNS = ("phase", "label", "dataset", "group")


def shuffle(slices: Sequence[Slice], rng: np.random.Generator) -> list[Slice]:
    """In a drawn order."""
    return [slices[i] for i in rng.permutation(len(slices))]


def simple_sampling(
    slices: Sequence[Slice],
    rng: np.random.Generator,
    *,
    n: float,
    target: str | None = None,
    shuffle: bool = True,
) -> list[Slice]:
    """Some of them, in the order that they had, and at least one of each value of a column.

    Args:
        slices: The table.
        rng: Of who stays.
        n: A share up to 1, or a number of slices above.
        target: A column, of each value of which that share stays, such as phase.
        shuffle: Whether who stays is drawn; otherwise the first ones do.
    """
    if n <= 0:
        raise ConfigError(f"pipeline: simple_sampling wants n above 0, got {n:g}.")
    if target is not None and target not in COLUMNS:
        raise ConfigError(
            f"pipeline: simple_sampling knows no column '{target}'. There are: "
            f"{', '.join(COLUMNS)}."
        )
    groups: dict[Any, list[int]] = {}
    for place, item in enumerate(slices):
        groups.setdefault(getattr(item, target) if target else None, []).append(place)
    kept: list[int] = []
    for places in groups.values():
        share = n if n <= 1 else n / len(slices)
        count = min(len(places), max(1, round(share * len(places))))
        order = rng.permutation(len(places)) if shuffle else np.arange(len(places))
        kept += [places[i] for i in order[:count]]
    return [slices[i] for i in sorted(kept)]


STEPS: dict[str, Callable[..., list[Slice]]] = {
    "shuffle": shuffle,
    "simple_sampling": simple_sampling,
}


def run_pipeline(
    slices: Sequence[Slice], steps: Sequence[Named], *, source: str, seed: int
) -> list[Slice]:
    """The table after all steps; each draws from the seed and its place."""
    table = list(slices)
    for place, step in enumerate(steps):
        function = pick(step.name, STEPS, what=f"data.dataset.{source}.pipeline:")
        where = f"data.dataset.{source}.pipeline.{place} ({step.name})"
        given = arguments(function, step.params, where=where, supplied=("slices", "rng"))
        table = function(table, np.random.default_rng((seed, place)), **given)
    return table
