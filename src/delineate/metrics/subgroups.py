"""A figure in groups of cases: by site, by scanner, by the size of the structure.

A table of subgroups invites to find something by chance, so its test is one per grouping, whether
any group differs, and the tests of several groupings are corrected together.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan

import numpy as np

from delineate.metrics.bootstrap import mean_interval
from delineate.metrics.permutation import group_p
from delineate.metrics.strata import terciles
from delineate.metrics.table import Table

__all__ = ["FEW", "Group", "Subgroups", "size_groups", "subgroups"]

FEW = 10
"""The interval of fewer cases is rough, and a difference easily missed."""
SIZE = "true_volume_ml"
NAMES = ("small", "medium", "large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The cases with one entry in a column."""

    name: str
    cases: int
    """Patients, where they are known."""
    mean: float
    low: float
    high: float
    """The 95 % interval of the mean; NaN below two cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroups:
    """One figure in the groups of one column."""

    column: str
    names: tuple[str, ...]
    """Whose figure it is: of one table, or the difference of two."""
    label: str | None
    """The class; None for the mean over the classes of each case."""
    whole: Group
    """All cases with a figure, in a group or not."""
    groups: tuple[Group, ...]
    p: float
    """Of the permutation test that all groups have one mean; NaN where there is no such test."""
    adjusted: float
    """p when the tests of all groupings count (Holm)."""
    without: int
    """Cases with a figure but without a group."""
    straddling: int
    """Patients in several groups; the groups are then not independent, and there is no test."""

    @property
    def small(self) -> tuple[Group, ...]:
        """The groups with too few cases to say much."""
        return tuple(group for group in self.groups if group.cases < FEW)


def subgroups(
    figures: Mapping[str, float],
    groups: Mapping[str, str],
    *,
    column: str,
    patients: Mapping[str, str] | None = None,
    bounds: tuple[float, float] = (-inf, inf),
    seed: int = 0,
) -> Subgroups:
    """The mean of each group of cases, in the order in which the groups first appear.

    Cases without a figure (NaN) are left out; those of one patient in one group count as one, by
    their mean.

    Args:
        figures: By case.
        groups: The group of each case.
        bounds: What a figure can be at all.
    """
    known = {case: value for case, value in figures.items() if not np.isnan(value)}
    inside = {case: known[case] for case in groups if case in known}
    parts: dict[str, dict[str, float]] = {name: {} for name in groups.values()}
    for case, value in inside.items():
        parts[groups[case]][case] = value
    samples = {name: _by_patient(part, patients) for name, part in parts.items() if part}
    owners = [patient for sample in samples.values() for patient in sample]
    straddling = sum(number > 1 for number in Counter(owners).values())
    p = nan if straddling or not samples else _p(list(samples.values()), seed)
    return Subgroups(
        column=column,
        names=(),
        label=None,
        whole=_group("all", _by_patient(known, patients), bounds, seed),
        groups=tuple(_group(name, sample, bounds, seed) for name, sample in samples.items()),
        p=p,
        adjusted=p,
        without=len(known) - len(inside),
        straddling=straddling,
    )


def size_groups(table: Table, label: str) -> dict[str, str]:
    """The cases in which a class is there, in thirds by its true volume; empty without volumes."""
    if SIZE not in table.metrics:
        return {}
    column = table.values(SIZE)[:, table.labels.index(label)]
    sizes = dict(zip(table.cases, column.tolist(), strict=True))
    there = {case: size for case, size in sizes.items() if size > 0}
    return terciles(there, names=NAMES, unit=" ml") if there else {}


def _by_patient(
    figures: Mapping[str, float], patients: Mapping[str, str] | None
) -> dict[str, float]:
    """The mean figure of each patient."""
    found: dict[str, list[float]] = {}
    for case, value in figures.items():
        found.setdefault((patients or {}).get(case, case), []).append(value)
    return {patient: float(np.mean(values)) for patient, values in found.items()}


def _p(samples: list[dict[str, float]], seed: int) -> float:
    numbers = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    values = [value for sample in samples for value in sample.values()]
    return group_p(np.array(values), numbers, seed=seed)


def _group(name: str, sample: Mapping[str, float], bounds: tuple[float, float], seed: int) -> Group:
    values = np.array(list(sample.values()))
    low, high = mean_interval(values, bounds=bounds, seed=seed)
    mean = float(values.mean()) if values.size else nan
    return Group(name=name, cases=len(values), mean=mean, low=low, high=high)
