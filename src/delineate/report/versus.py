"""Several runs on common ground: the tables of their shared cases and classes, and who leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delineate.errors import DataError
from delineate.metrics import Table
from delineate.metrics.direction import direction
from delineate.metrics.pairing import pair_tables
from delineate.metrics.ranking import Ranking, rank_tables
from delineate.metrics.table import known_mean
from delineate.report.record import Record

__all__ = ["Versus", "set_side_by_side"]


@dataclass(frozen=True)
class Versus:
    """Tables by the name of the run, of the same classes and with cases in common."""

    tables: Mapping[str, Table]
    notes: tuple[str, ...]
    """What had to be left out."""

    @cached_property
    def rankings(self) -> dict[str, Ranking]:
        """By metric; those are left out that know no better, or that a table has no figure of."""
        first = next(iter(self.tables.values()))
        shared = [m for m in first.metrics if all(m in t.metrics for t in self.tables.values())]
        found = {}
        for metric in shared:
            if direction(metric) != "neither" and self._has_figures(metric):
                found[metric] = rank_tables(self.tables, metric)
        return found

    @property
    def main(self) -> Ranking:
        """By Dice, or by the first metric there is."""
        return self.rankings.get("dice") or next(iter(self.rankings.values()))

    @property
    def leaders(self) -> tuple[str, str]:
        """The first and the second by the main metric."""
        first, second, *_ = self.main.standings
        return first.name, second.name

    def case_means(self, metric: str) -> dict[str, dict[str, float]]:
        """By case and run, over the classes that every run has a figure of."""
        paired = pair_tables(list(self.tables.values()), metric)
        means = known_mean(paired.complete, axis=2)
        return {
            case: dict(zip(self.tables, column.tolist(), strict=True))
            for case, column in zip(paired.cases, means.T, strict=True)
        }

    def pairs(self, metric: str) -> dict[str, tuple[float, float]]:
        """The figures of the second and of the first leader by case, where both have one."""
        first, second = self.leaders
        means = {c: (by[second], by[first]) for c, by in self.case_means(metric).items()}
        return {case: pair for case, pair in means.items() if np.isfinite(pair).all()}

    def _has_figures(self, metric: str) -> bool:
        paired = pair_tables(list(self.tables.values()), metric)
        return bool(np.isfinite(known_mean(paired.complete, axis=2)).any())


def set_side_by_side(runs: Mapping[str, Record]) -> Versus | str:
    """Runs with scores of the same cases, or why there are none to compare."""
    tables = {name: run.table for name, run in runs.items() if run.table and run.table.rows}
    if len(tables) < 2:
        return "Fewer than two of these runs have scores, so there is nothing to compare yet."
    notes = [f"{name} has no scores yet." for name in runs if name not in tables]
    shared = set.intersection(*(set(table.labels) for table in tables.values()))
    if not shared:
        return "These runs share no class, so their scores cannot be compared."
    cases = set.intersection(*(set(table.cases) for table in tables.values()))
    if not cases:
        return "These runs share no held-out case, so their scores cannot be compared case by case."
    for name, table in tables.items():
        left = [label for label in table.labels if label not in shared]
        if left:
            notes.append(f"Only {name} has the classes {', '.join(left)}: left out.")
        more = len(table.cases) - len(cases)
        if more:
            notes.append(f"{name} has {more} more case{'s' * (more > 1)}: left out.")
    alike = {name: _of_classes(table, shared) for name, table in tables.items()}
    found = Versus(alike, tuple(notes))
    try:
        return found if found.rankings else "These runs have no metric in common."
    except DataError as error:
        return str(error)


def _of_classes(table: Table, labels: set[str]) -> Table:
    return Table(tuple(row for row in table.rows if row.label in labels))
