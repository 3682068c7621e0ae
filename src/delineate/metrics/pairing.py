"""Tables side by side on the cases that all of them have.

A figure counts only where every table has it: were a structure that one model misses, and whose
distance therefore has no value, left out of that model's mean alone, missing it would pay.
An error with a sign (a difference of volumes) counts by its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delineate.errors import DataError
from delineate.metrics.direction import direction
from delineate.metrics.table import Table, known_mean

__all__ = ["Paired", "pair_tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One metric of some tables on their shared cases."""

    metric: str
    cases: tuple[str, ...]
    labels: tuple[str, ...]
    values: np.ndarray
    """(tables, cases, classes); NaN where a table has no value."""
    units: tuple[str, ...]
    """The patients; without known patients, the cases."""
    owners: np.ndarray
    """(cases,): the unit of each case."""
    alone: tuple[int, ...]
    """By table: its cases that are not in all the others."""

    @property
    def complete(self) -> np.ndarray:
        """The values, NaN in all tables where one has none."""
        return np.where(np.isnan(self.values).any(0), np.nan, self.values)

    @property
    def blanks(self) -> tuple[int, ...]:
        """By table: figures that it lacks and another has."""
        unknown = np.isnan(self.values)
        return tuple((unknown & ~unknown.all(0)).sum((1, 2)).tolist())

    def by_unit(self, values: np.ndarray) -> np.ndarray:
        """(tables, units, classes) from values per case: the mean over a patient's cases."""
        if len(self.units) == len(self.cases):
            return values
        order = np.argsort(self.owners, kind="stable")
        ends = np.cumsum(np.bincount(self.owners))[:-1]
        parts = np.split(values[:, order], ends, axis=1)
        return np.stack([known_mean(part, axis=1) for part in parts], axis=1)


def pair_tables(
    tables: Sequence[Table], metric: str, *, patients: Mapping[str, str] | None = None
) -> Paired:
    """Put tables side by side; no shared case, other classes or no such metric is a DataError.

    Args:
        patients: The patient of each case; a case that is not in it is its own patient.
    """
    _refuse(tables, metric)
    labels = tables[0].labels
    have = [set(table.cases) for table in tables]
    shared = tuple(case for case in tables[0].cases if all(case in cases for cases in have))
    if not shared:
        raise DataError("compare: the tables share no case. Fix: evaluate the same cases.")
    values = np.stack([_ordered(table, metric, shared, labels) for table in tables])
    if direction(metric) == "lower":
        values = np.abs(values)
    names = [(patients or {}).get(case, case) for case in shared]
    units = tuple(dict.fromkeys(names))
    number = {unit: i for i, unit in enumerate(units)}
    return Paired(
        metric=metric,
        cases=shared,
        labels=labels,
        values=values,
        units=units,
        owners=np.array([number[name] for name in names]),
        alone=tuple(len(cases) - len(shared) for cases in have),
    )


def _ordered(table: Table, metric: str, cases: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """(cases, classes) in the given orders; an infinite figure is no value."""
    rows = {case: i for i, case in enumerate(table.cases)}
    columns = {label: j for j, label in enumerate(table.labels)}
    chosen = np.ix_([rows[case] for case in cases], [columns[label] for label in labels])
    values = table.values(metric)[chosen]
    return np.where(np.isfinite(values), values, np.nan)


def _refuse(tables: Sequence[Table], metric: str) -> None:
    """Tables that cannot be set side by side."""
    for table in tables:
        if set(table.labels) != set(tables[0].labels):
            raise DataError(
                f"compare: one table has the classes {', '.join(tables[0].labels)}, the other "
                f"{', '.join(table.labels)}. Fix: give both the same class names."
            )
        if metric not in table.metrics:
            raise DataError(
                f"compare: no metric '{metric}' in a table that has {', '.join(table.metrics)}."
            )
