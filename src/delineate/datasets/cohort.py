"""What only the comparison of all cases shows: missing halves, leaks, odd ones out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from delineate.datasets.case import Case, Dataset
from delineate.datasets.checkup import Checked
from delineate.datasets.copies import patient_of
from delineate.datasets.findings import Finding, finding
from delineate.datasets.pairing import is_mask_name
from delineate.io import stem

__all__ = [
    "find_leaks",
    "find_lone_halves",
    "find_odd_grids",
    "find_repeated_ids",
]

_MASK_FOLDER = re.compile(r"label|mask|seg|annotation|lesion|^gt$|truth", re.IGNORECASE)


def find_lone_halves(dataset: Dataset) -> list[Finding]:
    """Images without label, labels without image, cases without all their channels, stray files."""
    if not dataset.cases:
        text = f"{dataset.root} holds no case in the layout '{dataset.layout}'."
        return [finding("no-cases", None, text), *_orphans(dataset)]
    needing = [c for c in dataset.cases if c.split != "test" and c.presence is None]
    without = [c for c in needing if c.label is None]
    if needing and len(without) == len(needing):
        text = f"none of {len(without)} cases has a label."
        return [finding("no-labels", None, text), *_orphans(dataset)]
    found = [
        finding("missing-label", c.id, f"{Path(c.images[0]).name} has no label.") for c in without
    ]
    return found + _orphans(dataset)


def _orphans(dataset: Dataset) -> list[Finding]:
    """One finding for each case that the left-over files would belong to."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in dataset.orphans:
        groups[_case_of(path)].append(path)
    known = {case.id for case in dataset.cases}
    return [_orphan(name, paths, name in known) for name, paths in sorted(groups.items())]


def _orphan(name: str, paths: list[str], known: bool) -> Finding:
    absent = [p for p in paths if not Path(p.split("::")[0]).exists()]
    masks = [p for p in paths if _is_mask(p) and p not in absent]
    images = [p for p in paths if p not in absent and p not in masks]
    if absent:
        return finding("missing-image", name, f"{', '.join(absent)}: listed, but not there.")
    if images and not known:
        text = f"{', '.join(images)}: not all images of this case are there."
        return finding("missing-image", name, text)
    if masks and not known:
        return finding("missing-image", name, f"{', '.join(masks)}: a label without its image.")
    return finding("unlisted-file", name, f"{', '.join(paths)}: belongs to no case.")


def _case_of(path: str) -> str:
    """The case that a left-over file would belong to, by its name: `a` of a_seg or of a_0001."""
    name = stem(path)
    if is_mask_name(name):
        return re.sub(r"[-_ .][^-_ .]+$", "", name)
    return name if _is_mask(path) else re.sub(r"_\d{4}$", "", name)


def _is_mask(path: str) -> bool:
    return is_mask_name(stem(path)) or bool(_MASK_FOLDER.search(Path(path).parent.name))


def find_repeated_ids(dataset: Dataset) -> list[Finding]:
    """Ids that two cases share, also where only upper and lower case differ."""
    ids = Counter(case.id.lower() for case in dataset.cases)
    repeated = {case.id for case in dataset.cases if ids[case.id.lower()] > 1}
    return [
        finding("duplicate-id", name, f"{ids[name.lower()]} cases are called {name}.")
        for name in sorted(repeated)
    ]


def find_leaks(dataset: Dataset, duplicates: Sequence[Finding]) -> list[Finding]:
    """Held-out cases whose patient, or whose very image, is on another side of the split too."""
    sides: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    split_of = {case.id: _side(case.split) for case in dataset.cases}
    for case in (c for c in dataset.cases if not _is_numbered(c)):
        sides[patient_of(case)][_side(case.split)].append(case.id)
    found = []
    for group, by_side in sides.items():
        if len({i for ids in by_side.values() for i in ids}) == 1:
            continue  # one name on both sides is a repeated id, which says nothing of the patient
        for side, cases in by_side.items():
            rest = [i for other, ids in by_side.items() if _before(other, side) for i in ids]
            found += [_leak(case, f"patient '{group}'", side, rest) for case in cases if rest]
    leaking = {f.case for f in found}
    for twin in duplicates:
        side = split_of.get(twin.case or "", "training")
        rest = [other for other in twin.others if _before(split_of.get(other, side), side)]
        if rest and twin.case not in leaking:
            found.append(_leak(twin.case or "", "the same image", side, rest))
    return found


def _is_numbered(case: Case) -> bool:
    """Whether the group is a running number in each split's folder, as in train/7 and test/7."""
    return case.group.isdigit() and case.id == f"{case.split}_{case.group}"


def _leak(case: str, what: str, side: str, others: list[str]) -> Finding:
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    text = f"it is held out for {side}, but {what} is elsewhere too: {shown}."
    return finding("split-leak", case, text, others=tuple(others))


def _side(split: str | None) -> str:
    return split if split in ("validation", "test") else "training"


def _before(other: str, side: str) -> bool:
    order = ("training", "validation", "test")
    return order.index(other) < order.index(side)


def find_odd_grids(dataset: Dataset, cases: Sequence[Checked]) -> list[Finding]:
    """Cases whose axes, channels, spacing or field of view are not those of the others."""
    measured = [c for c in cases if c.facts.shape]
    usual = Counter(len(c.facts.shape) for c in measured).most_common(1)
    found = _odd_channels(dataset, measured)
    same: list[Checked] = []
    for checked in measured:
        dims = len(checked.facts.shape)
        if dims == usual[0][0]:
            same.append(checked)
            continue
        text = f"its image has {dims} axes, those of the others {usual[0][0]}."
        found.append(finding("dimensions", checked.case.id, text))
    if len(same) < 3:
        return found
    spacing = np.array([c.facts.spacing for c in same])
    size = spacing * np.array([c.facts.shape for c in same])
    odd = dict(_far_from_median(spacing))
    for row, axis in odd.items():
        text = _compared("spacing", "mm", spacing, row, axis)
        found.append(finding("odd-spacing", same[row].case.id, text))
    for row, axis in _far_from_median(size):
        if row not in odd:
            text = _compared("field of view", "mm", size, row, axis)
            found.append(finding("odd-size", same[row].case.id, text))
    return found


def _odd_channels(dataset: Dataset, cases: Sequence[Checked]) -> list[Finding]:
    """Cases whose channels are not as many as declared, or as most have if none is as declared."""
    counts = Counter(len(c.channels) for c in cases if c.channels)
    if not counts:
        return []
    expected = len(dataset.channels)
    if expected not in counts:
        usual = counts.most_common(1)[0][0]
        if expected > 1:
            text = f"{expected} channels are declared, but the images have {usual}."
            return [finding("channel-count", None, text)]
        expected = usual
    return [
        finding("channel-count", c.case.id, f"it has {len(c.channels)} channels, not {expected}.")
        for c in cases
        if c.channels and len(c.channels) != expected
    ]


def _far_from_median(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Row and axis of what is twice or half the median, and far beyond how much the others vary."""
    logs = np.log2(values / np.median(values, axis=0))
    deviation = 1.4826 * np.median(np.abs(logs), axis=0)
    excess = np.abs(logs) - np.maximum(0.99, 5 * deviation)
    for row in np.flatnonzero(excess.max(axis=1) > 0).tolist():
        yield row, int(excess[row].argmax())


def _compared(what: str, unit: str, values: np.ndarray, row: int, axis: int) -> str:
    own, usual = values[row], np.median(values, axis=0)
    sizes = ["x".join(f"{v:.3g}" for v in figures) for figures in (own, usual)]
    factor = f"{own[axis] / usual[axis]:.2g} times on axis {axis}"
    return f"its {what} is {sizes[0]} {unit}, the median {sizes[1]} ({factor})."
