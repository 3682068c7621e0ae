"""Labels that differ from those of the other cases: values, extent, and how classes lie."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from delineate.datasets.case import Dataset
from delineate.datasets.checkup import Checked
from delineate.datasets.findings import Finding, finding

__all__ = ["find_mirrored", "find_odd_labels", "find_odd_volumes"]

_ENOUGH = 8
"""Fewer cases do not show what is usual."""


def find_odd_labels(dataset: Dataset, cases: Sequence[Checked]) -> list[Finding]:
    """Classes that never occur, values that only one case has, one class under two values."""
    held = {c.case.id: frozenset(c.marks.voxels) for c in cases if c.marks is not None}
    if not held:
        return []
    seen = frozenset().union(*held.values())
    labels = dataset.labels
    ignore = frozenset() if labels is None or labels.ignore is None else frozenset({labels.ignore})
    if not seen - ignore:
        return [finding("no-foreground", None, f"none of {len(held)} labels has foreground.")]
    if labels is None:
        return _mixed_values(held) or _rare_values(held)
    keys = [i if labels.overlapping else leaf.id for i, leaf in enumerate(labels.leaves, 1)]
    return [
        finding("absent-class", None, f"{leaf.name} ({leaf.id}) occurs in no label.")
        for leaf, key in zip(labels.leaves, keys, strict=True)
        if key not in seen
    ]


def find_odd_volumes(cases: Sequence[Checked]) -> list[Finding]:
    """Masks that cover most of an image where the others cover little, as inverted ones do."""
    parts = {
        c.case.id: c.marks.foreground / (np.prod(c.marks.shape) * c.marks.channels)
        for c in cases
        if c.marks is not None and c.marks.foreground
    }
    usual = np.median([*parts.values()]) if len(parts) > 2 else 1.0
    return [
        finding("odd-volume", case, f"its mask covers {part:.0%}, the median {usual:.1%}.")
        for case, part in parts.items()
        if 0.5 <= part < 1 and usual < 0.1
    ]


def _mixed_values(held: dict[str, frozenset[int]]) -> list[Finding]:
    """Masks of one value, but not the same one in all: the rarer are marked."""
    values = Counter(v for v in held.values() if v)
    if len(values) < 2 or any(len(v) > 1 for v in values):
        return []
    usual, rare = max(values, key=lambda v: (values[v], -min(v))), 255
    if not any(rare in v for v in values):
        return []
    return [
        finding("mixed-values", case, f"it marks with {min(v)}, the others with {min(usual)}.")
        for case, v in held.items()
        if v and v != usual
    ]


def _rare_values(held: dict[str, frozenset[int]]) -> list[Finding]:
    """A value of one case only, where nearly all others hold the same ones."""
    sets = Counter(v for v in held.values() if v)
    usual, agreeing = sets.most_common(1)[0]
    if sum(sets.values()) < _ENOUGH or agreeing < 0.8 * sum(sets.values()):
        return []
    counts = Counter(value for values in held.values() for value in values)
    found = []
    for case, values in held.items():
        rare = sorted(v for v in values - usual if counts[v] == 1)
        if rare:
            text = f"only its label holds {', '.join(map(str, rare))}."
            found.append(finding("rare-value", case, text))
    return found


def find_mirrored(cases: Sequence[Checked]) -> list[Finding]:
    """Cases in which two classes lie the other way round than in nearly all others."""
    misplaced = {"grid-mismatch", "shape-mismatch"}
    labelled = [
        c
        for c in cases
        if c.marks is not None and c.marks.centres and not misplaced & {f.kind for f in c.findings}
    ]
    holding: dict[int, list[int]] = defaultdict(list)
    for i, checked in enumerate(labelled):
        for value in checked.marks.centres if checked.marks else ():
            holding[value].append(i)
    often = [value for value, rows in holding.items() if len(rows) >= _ENOUGH]
    worst: dict[int, tuple[float, str]] = {}
    for a, b in combinations(sorted(often)[:64], 2):
        rows = sorted(set(holding[a]) & set(holding[b]))
        if len(rows) < _ENOUGH:
            continue
        apart = np.array([_between(labelled[i], a, b) for i in rows])
        for k, axis, size in _reversed(apart):
            text = (
                f"values {a} and {b} lie {apart[k, axis]:+.3g} mm apart on axis {axis}, "
                f"in the others {np.median(apart[:, axis]):+.3g} mm."
            )
            worst[rows[k]] = max(worst.get(rows[k], (0.0, "")), (size, text))
    return [
        finding("mirrored-label", labelled[i].case.id, text)
        for i, (_, text) in sorted(worst.items())
    ]


def _between(checked: Checked, a: int, b: int) -> tuple[float, ...]:
    assert checked.marks is not None
    centres = checked.marks.centres
    return tuple(y - x for x, y in zip(centres[a], centres[b], strict=True))


def _reversed(apart: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Row, axis and distance of offsets with the wrong sign, where 95 % agree on the right one."""
    median = np.median(apart, axis=0)
    deviation = 1.4826 * np.median(np.abs(apart - median), axis=0)
    against = apart * np.sign(median) < 0
    clear = (against.mean(axis=0) <= max(0.05, 1 / len(apart))) & (np.abs(median) > 2 * deviation)
    far = np.abs(apart - median) > 4 * deviation
    for row, axis in np.argwhere(against & clear & far & (np.abs(apart) >= np.abs(median) / 2)):
        yield int(row), int(axis), float(abs(apart[row, axis] - median[axis]))
