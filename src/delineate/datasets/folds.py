"""Which cases are held out together: folds by patient, even in size and in label volume."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.datasets.case import Case, Dataset
from delineate.errors import DataError

__all__ = ["Split", "make_folds", "split_cases"]

_NNUNET_FOLDS = 5
_NNUNET_SEED = 12345


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The cases that one run learns from and the ones that it is judged by."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]


def split_cases(
    dataset: Dataset,
    *,
    folds: int | Literal["nnunet"] | None,
    fold: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> Split:
    """The labelled cases for one fold; where `folds` is None, the data set's own split.

    Test cases never take part. With folds, declared training and validation cases form one pool;
    in a declared split, cases without a word are training cases.
    """
    pool = [case for case in dataset.cases if case.split != "test" and case.label is not None]
    if not pool:
        raise DataError(f"{dataset.root}: no case outside the test split has a label.")
    if folds is None:
        held = {case.id for case in pool if case.split == "validation"}
        if not held or len(held) == len(pool):
            raise DataError(
                f"{dataset.root}: layout '{dataset.layout}' declares no split into training and "
                "validation cases. Fix: ask for folds, as in data.folds=5."
            )
    else:
        parts = make_folds(pool, folds=folds, seed=seed, weights=weights)
        if not 0 <= fold < len(parts):
            raise DataError(
                f"fold: {fold} is none of 0 to {len(parts) - 1}. Fix: choose one of them."
            )
        held = set(parts[fold])
    return Split(
        training=tuple(case for case in pool if case.id not in held),
        validation=tuple(case for case in pool if case.id in held),
    )


def make_folds(
    cases: Iterable[Case],
    *,
    folds: int | Literal["nnunet"],
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> tuple[tuple[str, ...], ...]:
    """The ids held out in each fold; cases of one group stay together.

    Fold sizes differ by at most the largest group. With `weights` (label volume by id), small and
    large volumes are spread evenly. 'nnunet' gives nnU-Net's own five folds of the sorted ids,
    whatever the seed.
    """
    groups: dict[str, list[str]] = {}
    for case in sorted(cases, key=lambda case: case.id):
        groups.setdefault(case.group or case.id, []).append(case.id)
    if len(groups) == 1:
        raise DataError(
            "folds: all labelled cases are of one patient, who cannot both be learnt from and be "
            "held out. Fix: add scans of another patient."
        )
    if folds == "nnunet":
        return _nnunet_folds(groups)
    if folds < 2:
        raise DataError(f"folds: {folds} leaves nothing to train on. Fix: ask for 2 or more.")
    if len(groups) < folds:
        raise DataError(
            f"folds: {folds} were asked for, but only {len(groups)} patients have a label. "
            f"Fix: ask for at most {len(groups)}."
        )
    return _deal(groups, folds, seed, weights or {})


def _deal(
    groups: Mapping[str, Sequence[str]], folds: int, seed: int, weights: Mapping[str, float]
) -> tuple[tuple[str, ...], ...]:
    """Give each group, largest and then heaviest first, to the fold with the fewest cases.

    Ties are drawn, so seeds differ; groups of one size go round in turns, one of each rank a fold.
    """
    rng = np.random.default_rng(seed)
    weight = {name: sum(weights.get(case, 0.0) for case in ids) for name, ids in groups.items()}
    drawn = [list(groups)[i] for i in rng.permutation(len(groups))]
    parts: list[list[str]] = [[] for _ in range(folds)]
    for name in sorted(drawn, key=lambda name: (-len(groups[name]), -weight[name])):
        luck = rng.random(folds)
        emptiest = min(range(folds), key=lambda i: (len(parts[i]), luck[i]))
        parts[emptiest] += groups[name]
    return tuple(tuple(sorted(part)) for part in parts)


def _nnunet_folds(groups: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Five folds of the ids, as of scikit-learn's KFold(5, shuffle=True, random_state=12345)."""
    for name, ids in groups.items():
        if len(ids) > 1:
            raise DataError(
                f"folds: nnU-Net's folds know no patients, but '{name}' has {len(ids)} cases, such "
                f"as {ids[0]} and {ids[1]}, which would be split. Fix: ask for folds=5, or declare "
                "each case its own patient with group='(.+)'."
            )
    ids = sorted(case for group in groups.values() for case in group)
    if len(ids) < _NNUNET_FOLDS:
        raise DataError(
            f"folds: nnU-Net makes {_NNUNET_FOLDS}, but there are only {len(ids)} labelled cases. "
            f"Fix: ask for at most {len(ids)} folds."
        )
    order = np.arange(len(ids))
    np.random.RandomState(_NNUNET_SEED).shuffle(order)
    held = np.array_split(order, _NNUNET_FOLDS)
    return tuple(tuple(ids[i] for i in sorted(part)) for part in held)
