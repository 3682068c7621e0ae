"""What became of a raw data set, for people to read: preprocessing_summary.txt."""

from collections.abc import Iterable, Mapping

import numpy as np

from delineate.datasets.listing import natural
from delineate.systems.liver.settings import PreprocessingConfig, plain
from delineate.systems.liver.subjects import SPLITS, Subject

__all__ = ["SUMMARY", "summarise"]

SUMMARY = "preprocessing_summary.txt"


def summarise(
    subjects: Mapping[str, Subject], failures: Mapping[str, str], settings: PreprocessingConfig
) -> str:
    """Counts, splits, grids, labels, settings; and every subject that failed, and why."""
    lines = [f"{_count(len(subjects), 'subject')} prepared, {len(failures)} failed.", ""]
    for name, why in failures.items():
        lines.append(f"FAILED {name}: {why}")
    if failures:
        lines += ["Mend or remove these and run again: what is done is kept.", ""]
    for split in SPLITS:
        lines += _split(split, [s for s in subjects.values() if s.split == split])
    lines += ["settings", *(f"  {key}: {value}" for key, value in plain(settings).items()), ""]
    return "\n".join(lines)


def _split(name: str, subjects: list[Subject]) -> list[str]:
    """One block: who, on what grids, with what in the masks."""
    if not subjects:
        return [f"{name}: none", ""]
    patients = len({s.patient for s in subjects})
    labels = sorted({label for s in subjects for label in s.voxels})
    holders = (f"{sum(x in s.voxels for s in subjects)} with label {x}" for x in labels)
    return [
        f"{name}: {_count(len(subjects), 'subject')} of {_count(patients, 'patient')}; "
        + (", ".join(holders) or "no labels"),
        f"  {' '.join(sorted((s.id for s in subjects), key=natural))}",
        f"  voxels: {_range(s.grid.shape for s in subjects)}",
        f"  spacing: {_range(s.grid.spacing for s in subjects)} mm",
        "",
    ]


def _range(triples: Iterable[tuple[float, ...]]) -> str:
    """`a x b x c` where all agree, else the least and the most of each axis."""
    table = np.array(list(triples), np.float64)
    pairs = zip(table.min(axis=0), table.max(axis=0), strict=True)
    return " x ".join(
        f"{a:.4g}" if f"{a:.4g}" == f"{b:.4g}" else f"{a:.4g} to {b:.4g}" for a, b in pairs
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
