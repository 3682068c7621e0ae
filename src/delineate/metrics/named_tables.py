"""Several tables by short names."""

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import DataError
from delineate.metrics.table import Table, read_table

__all__ = ["read_tables"]


def read_tables(paths: Sequence[Path]) -> dict[str, Table]:
    """Read tables or runs; each is named by the last parts of its path that tell it apart."""
    places = [_parts(path) for path in paths]
    for i, path in enumerate(paths):
        if places[i] in places[:i]:
            raise DataError(f"compare: {path} is given twice. Fix: give different tables.")
    number = 1
    while len({parts[-number:] for parts in places}) < len(places):
        number += 1
    names = ("/".join(parts[-number:]) for parts in places)
    return {name: read_table(path) for name, path in zip(names, paths, strict=True)}


def _parts(path: Path) -> tuple[str, ...]:
    """The parts of a path that tell a table apart: runs/a/validation/table.csv is runs/a."""
    full = path.resolve()
    if full.name == "table.csv":
        full = full.parent
    elif full.suffix == ".csv":
        full = full.with_suffix("")
    return (full.parent if full.name == "validation" else full).parts[1:]
