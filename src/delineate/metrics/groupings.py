"""Which subgroups a comparison looks at: the columns of a CSV, and the size of each structure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from delineate.errors import DataError
from delineate.metrics.direction import bounds, difference_bounds
from delineate.metrics.holm import correct
from delineate.metrics.pairing import Paired
from delineate.metrics.strata import Strata, groups_of
from delineate.metrics.subgroups import Subgroups, size_groups, subgroups
from delineate.metrics.table import Table, known_mean

__all__ = ["Grouping", "group_by_columns", "group_by_size", "take_subgroups"]

FEW_CLASSES = 3
"""Up to so many classes are grouped by their size without being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Into which groups the cases fall, and which figure is looked at there."""

    column: str
    label: str | None
    """The class; None for the mean over the classes of each case."""
    groups: Mapping[str, str]
    """By case, in the order of the groups."""


def group_by_columns(
    paired: Paired, strata: Strata, *, by_class: bool
) -> tuple[tuple[Grouping, ...], tuple[str, ...]]:
    """A grouping per column, and per class where asked; then the columns that group nothing.

    A CSV that names none of the cases is a DataError.
    """
    listed = {case for entries in strata.columns.values() for case in entries}
    if (listed | strata.patients.keys()).isdisjoint(paired.cases):
        raise DataError(
            f"compare: the CSV of groups names none of the cases, such as {paired.cases[0]}. "
            "Fix: write them in its column case as the compared tables do."
        )
    labels = (None, *paired.labels) if by_class and len(paired.labels) > 1 else (None,)
    found, useless = [], []
    for column, entries in strata.columns.items():
        groups = groups_of({case: entries[case] for case in paired.cases if case in entries})
        if len(set(groups.values())) == len(groups):
            useless.append(column)
        else:
            found += [Grouping(column=column, label=label, groups=groups) for label in labels]
    return tuple(found), tuple(useless)


def group_by_size(table: Table, *, by_class: bool) -> tuple[Grouping, ...]:
    """Each class in thirds of its true volume; of many classes, only where asked."""
    if not by_class and len(table.labels) > FEW_CLASSES:
        return ()
    sized = {label: size_groups(table, label) for label in table.labels}
    return tuple(
        Grouping(column="true volume", label=label, groups=groups)
        for label, groups in sized.items()
        if groups
    )


def take_subgroups(
    paired: Paired,
    names: Sequence[str],
    groupings: Sequence[Grouping],
    *,
    patients: Mapping[str, str],
    seed: int,
) -> tuple[Subgroups, ...]:
    """Every grouping of each table, or of the difference of two; `adjusted` counts them all."""
    limits = (difference_bounds if len(names) == 2 else bounds)(paired.metric)
    found = [
        replace(
            subgroups(
                figures,
                grouping.groups,
                column=grouping.column,
                patients=patients,
                bounds=limits,
                seed=seed,
            ),
            names=subject,
            label=grouping.label,
        )
        for grouping in groupings
        for subject, figures in _subjects(paired, names, grouping.label)
    ]
    return correct(found)


def _subjects(
    paired: Paired, names: Sequence[str], label: str | None
) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
    """The figure of each case, by table or, of two, their difference."""
    values = _figures(paired, label)
    subjects = [((name,), figures) for name, figures in zip(names, values, strict=True)]
    if len(names) == 2:
        subjects = [(tuple(names), values[0] - values[1])]
    for subject, figures in subjects:
        yield subject, dict(zip(paired.cases, figures.tolist(), strict=True))


def _figures(paired: Paired, label: str | None) -> np.ndarray:
    """(tables, cases)."""
    if label is None:
        return known_mean(paired.complete, axis=2)
    return paired.complete[..., paired.labels.index(label)]
