"""Everything that `delineate compare` says of one, two or more tables."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from delineate.errors import DataError
from delineate.metrics.compare import Difference, compare, compare_classes
from delineate.metrics.direction import Direction, direction
from delineate.metrics.groupings import group_by_columns, group_by_size, take_subgroups
from delineate.metrics.pairing import Paired, pair_tables
from delineate.metrics.ranking import Ranking, rank_classes, rank_tables
from delineate.metrics.strata import Strata
from delineate.metrics.subgroups import Subgroups
from delineate.metrics.table import Table

__all__ = ["Comparison", "compare_tables"]

Found = Difference | Ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of some tables: their difference or ranking, and what it is in subgroups."""

    metric: str
    direction: Direction
    names: tuple[str, ...]
    labels: tuple[str, ...]
    cases: int
    """That all tables have."""
    patients: int
    """Whose they are; as many as cases where that is not known."""
    alone: tuple[int, ...]
    """By table: its cases that are not in all the others, and are left out."""
    blanks: tuple[int, ...]
    """By table: figures that it lacks and another has, left out of all the means."""
    whole: Difference | Ranking | None
    """Two tables have a difference, more a ranking, a single one has neither."""
    classes: tuple[Found, ...]
    """The same by class, where asked for."""
    subgroups: tuple[Subgroups, ...]
    no_groups: tuple[str, ...]
    """Columns in which no two cases share an entry."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; a figure without a value is null."""
        return _plain(asdict(self))


def compare_tables(
    tables: Mapping[str, Table],
    metric: str = "dice",
    *,
    by_class: bool = False,
    strata: Strata | None = None,
    patients: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare tables by name; a single one is compared in its subgroups only.

    Args:
        by_class: Compare the classes one by one, too.
        strata: What groups the cases; it also tells patients, before `patients` does.
        patients: The patient of each case: cases of one patient count as one.
    """
    known = {**(patients or {}), **(strata.patients if strata else {})}
    paired = pair_tables(list(tables.values()), metric, patients=known)
    groupings, no_groups = (
        group_by_columns(paired, strata, by_class=by_class) if strata else ((), ())
    )
    if strata or len(tables) == 1:
        groupings += group_by_size(next(iter(tables.values())), by_class=by_class)
    if len(tables) == 1 and not groupings:
        raise DataError(
            "compare: a single table is compared in subgroups, and there are none. Fix: give a "
            "second table, or --groups with a CSV of the cases."
        )
    whole, classes = _between(tables, paired, known, by_class=by_class, seed=seed)
    return Comparison(
        metric=metric,
        direction=direction(metric),
        names=tuple(tables),
        labels=paired.labels,
        cases=len(paired.cases),
        patients=len(paired.units),
        alone=paired.alone,
        blanks=paired.blanks,
        whole=whole,
        classes=classes,
        subgroups=take_subgroups(paired, tuple(tables), groupings, patients=known, seed=seed),
        no_groups=no_groups,
    )


def _between(
    tables: Mapping[str, Table],
    paired: Paired,
    patients: Mapping[str, str],
    *,
    by_class: bool,
    seed: int,
) -> tuple[Found | None, tuple[Found, ...]]:
    """The tables against each other: over all classes, and by class where asked."""
    metric = paired.metric
    by_class = by_class and len(paired.labels) > 1
    if len(tables) == 1:
        return None, ()
    if len(tables) == 2:
        (first, one), (second, other) = tables.items()
        names = first, second
        whole = compare(one, other, metric, names=names, patients=patients, seed=seed)
        if not by_class:
            return whole, ()
        return whole, compare_classes(one, other, metric, names=names, patients=patients, seed=seed)
    ranking = rank_tables(tables, metric, patients=patients, seed=seed)
    classes = rank_classes(tables, metric, patients=patients, seed=seed) if by_class else ()
    return ranking, classes


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value
