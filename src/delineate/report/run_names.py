"""Short names of several runs: the last parts of their paths that tell them apart."""

from collections.abc import Sequence
from pathlib import Path

from delineate.errors import DataError

__all__ = ["run_names"]


def run_names(runs: Sequence[Path]) -> list[str]:
    """`a/fold_0` and `b/fold_0`, or `a` and `b`; the same folder twice is a DataError."""
    parts = [run.resolve().parts for run in runs]
    for place, one in enumerate(parts):
        if one in parts[:place]:
            raise DataError(f"report: {runs[place]} is given twice. Fix: give different runs.")
    number = 1
    while len({one[-number:] for one in parts}) < len(parts):
        number += 1
    return ["/".join(one[-number:]) for one in parts]
