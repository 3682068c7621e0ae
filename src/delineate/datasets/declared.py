"""Labels as data set files declare them: names to ids, ids to names, regions of several ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from delineate.errors import DataError
from delineate.labels import Class, Labels, find_pairs

__all__ = ["channel_names", "declared_labels", "write_regions"]


def declared_labels(table: Any, *, where: str) -> Labels:
    """Labels from a JSON table in either direction; a list of ids is a region, `ignore` is ignored.

    Regions become a tree: the largest is the parent, and what its children leave over is its own.
    """
    if not isinstance(table, Mapping) or not table:
        raise DataError(
            f"{where}: 'labels' is {table!r}. Fix: a table such as "
            '{"background": 0, "liver": 1}.'
        )
    ids = {name: _ids(name, value, where) for name, value in _names_first(table).items()}
    ignore = ids.pop("ignore", None)
    if ignore is not None and len(ignore) != 1:
        raise DataError(f"{where}: the label 'ignore' has {len(ignore)} ids. Fix: give it one.")
    regions = {name: found for name, found in ids.items() if found != {0}}
    classes = _tree(regions, where)
    return Labels(
        classes=classes,
        ignore=min(ignore) if ignore else None,
        pairs=find_pairs(c.name for c in classes),
    )


def channel_names(table: Any, *, where: str) -> tuple[str, ...]:
    """Channel names in channel order, from {"0": "T1", "1": "T2"}."""
    try:
        return tuple(str(table[key]) for key in sorted(table, key=int))
    except (TypeError, ValueError):
        raise DataError(
            f'{where}: the channel names are {table!r}. Fix: a table such as {{"0": "T1"}}.'
        ) from None


def write_regions(labels: Labels) -> dict[str, int | list[int]]:
    """The table from which `declared_labels` rebuilds exclusive labels, background first."""
    own = [c.id for c in labels.leaves]
    table: dict[str, int | list[int]] = {"background": 0}
    for c in labels.classes:
        ids = [i for channel in labels.members(c.name) if (i := own[channel - 1]) is not None]
        table[c.name] = ids[0] if len(ids) == 1 else sorted(ids)
    if labels.ignore is not None:
        table["ignore"] = labels.ignore
    return table


def _names_first(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table as name to ids; Decathlon files have it the other way round."""
    if all(str(key).isdigit() for key in table) and all(isinstance(v, str) for v in table.values()):
        return {name: int(key) for key, name in table.items()}
    return dict(table)


def _ids(name: str, value: Any, where: str) -> frozenset[int]:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        found = frozenset(int(v) for v in values)
    except (TypeError, ValueError):
        found = frozenset()
    if not found:
        raise DataError(f"{where}: the label '{name}' has the id {value!r}. Fix: give an integer.")
    return found


def _tree(regions: Mapping[str, frozenset[int]], where: str) -> tuple[Class, ...]:
    """Classes in declared order, each with the ids that none of its children holds."""
    parents = {name: _parent(name, regions, where) for name in regions}
    classes: list[Class] = []
    for name, ids in regions.items():
        children = [regions[n] for n, parent in parents.items() if parent == name]
        own = sorted(ids - frozenset().union(*children))
        parent = parents[name]
        if len(own) <= 1:
            classes.append(Class(name=name, id=own[0] if own else None, parent=parent))
        else:
            classes.append(Class(name=name, parent=parent))
            classes += [Class(name=f"{name}_{i}", id=i, parent=name) for i in own]
    return tuple(classes)


def _parent(name: str, regions: Mapping[str, frozenset[int]], where: str) -> str | None:
    """The smallest region around this one; equal regions are nested in the order of the file."""
    order = list(regions)
    ids, best = regions[name], None
    for other, around in regions.items():
        if other == name or not ids & around:
            continue
        if not (ids <= around or around <= ids):
            raise DataError(
                f"{where}: the regions '{name}' {sorted(ids)} and '{other}' {sorted(around)} "
                "overlap in part, so they form no tree. Fix: declare them as separate labels."
            )
        encloses = ids < around or (ids == around and order.index(other) < order.index(name))
        smaller = best is None or (len(around), -order.index(other)) < (
            len(regions[best]),
            -order.index(best),
        )
        if encloses and smaller:
            best = other
    return best
