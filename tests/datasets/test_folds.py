"""Folds: by patient, even, stratified, repeatable, and nnU-Net's own."""

import json
from pathlib import Path

import numpy as np
import pytest

from delineate.datasets import Case, Dataset, make_folds, read_dataset, split_cases
from delineate.errors import DataError


def cases(*groups: int, split: str | None = None) -> list[Case]:
    """As many cases of each patient as the figures say."""
    return [
        Case(id=f"p{p:02d}_{i}", images=("x",), label="y", group=f"p{p:02d}", split=split)
        for p, count in enumerate(groups)
        for i in range(count)
    ]


def dataset_of(found: list[Case]) -> Dataset:
    return Dataset(root=Path("data"), layout="folders", cases=tuple(found))


def test_every_case_is_held_out_once_and_patients_never_straddle() -> None:
    pool = cases(3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
    parts = make_folds(pool, folds=4, seed=0)
    assert sorted(case for part in parts for case in part) == sorted(case.id for case in pool)
    for part in parts:
        inside = {case.split("_")[0] for case in part}
        outside = {c.id.split("_")[0] for c in pool if c.id not in part}
        assert not inside & outside


@pytest.mark.parametrize("seed", range(5))
def test_one_large_patient_is_balanced_by_many_small_ones(seed: int) -> None:
    parts = make_folds(cases(10, *[1] * 40), folds=5, seed=seed)
    assert [len(part) for part in parts] == [10] * 5


def test_folds_differ_by_one_case_at_most_where_patients_have_one() -> None:
    sizes = [len(part) for part in make_folds(cases(*[1] * 23), folds=5, seed=1)]
    assert sorted(sizes) == [4, 4, 5, 5, 5]


def test_the_seed_decides_and_the_order_of_the_cases_does_not() -> None:
    pool = cases(*[2] * 12)
    first = make_folds(pool, folds=3, seed=7)
    assert first == make_folds(reversed(pool), folds=3, seed=7)
    assert first != make_folds(pool, folds=3, seed=8)


@pytest.mark.parametrize("seed", range(10))
def test_volumes_differ_between_folds_by_less_than_one_patient(seed: int) -> None:
    pool = cases(*[1] * 25)
    volumes = np.random.default_rng(0).lognormal(3, 1.5, 25)
    weights = {case.id: float(v) for case, v in zip(pool, volumes, strict=True)}
    parts = make_folds(pool, folds=5, seed=seed, weights=weights)
    sums = [sum(weights[case] for case in part) for part in parts]
    # One of each rank a fold: the differences between ranks telescope.
    assert max(sums) - min(sums) <= volumes.max() - volumes.min()
    heavy = {case for case, w in weights.items() if w >= np.sort(volumes)[-5]}
    assert all(len(heavy & set(part)) == 1 for part in parts)


def test_nnunet_folds_are_those_of_scikit_learn() -> None:
    pool = [Case(id=f"c{i:02d}", images=("x",)) for i in range(12)]
    held = [[int(case[1:]) for case in part] for part in make_folds(pool, folds="nnunet", seed=99)]
    # KFold(5, shuffle=True, random_state=12345) over range(12).
    assert held == [[0, 3, 8], [7, 10, 11], [6, 9], [1, 4], [2, 5]]


def test_nnunet_folds_have_the_sizes_of_the_published_ones(real_data: Path) -> None:
    published = json.loads((real_data / "Task04_Hippocampus/nnunet_folds_1_to_4.json").read_text())
    pool = [Case(id=f"c{i:03d}", images=("x",)) for i in range(260)]
    parts = make_folds(pool, folds="nnunet", seed=0)
    assert [len(part) for part in parts[1:]] == [len(part) for part in published] == [52] * 4


def test_nnunet_folds_refuse_to_split_a_patient() -> None:
    with pytest.raises(DataError) as error:
        make_folds(cases(2, *[1] * 8), folds="nnunet", seed=0)
    assert str(error.value) == (
        "folds: nnU-Net's folds know no patients, but 'p00' has 2 cases, such as p00_0 and p00_1, "
        "which would be split. Fix: ask for folds=5, or declare each case its own patient with "
        "group='(.+)'."
    )


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "folds: 1 leaves nothing to train on. Fix: ask for 2 or more."),
        (
            5,
            "folds: 5 were asked for, but only 3 patients have a label. Fix: ask for at most 3.",
        ),
        (
            "nnunet",
            "folds: nnU-Net makes 5, but there are only 3 labelled cases. "
            "Fix: ask for at most 3 folds.",
        ),
    ],
)
def test_folds_that_cannot_be_made_are_refused(folds: int, message: str) -> None:
    with pytest.raises(DataError) as error:
        make_folds(cases(1, 1, 1), folds=folds, seed=0)
    assert str(error.value) == message


def test_a_fold_is_training_and_validation_without_test_and_unlabelled_cases() -> None:
    pool = cases(*[1] * 6)
    extra = [
        Case(id="t", images=("x",), label="y", split="test"),
        Case(id="u", images=("x",)),
    ]
    found = split_cases(dataset_of([*pool, *extra]), folds=3, fold=1, seed=0)
    assert len(found.validation) == 2
    assert {c.id for c in (*found.training, *found.validation)} == {c.id for c in pool}


def test_declared_splits_are_used_without_folds_and_pooled_with_them() -> None:
    pool = [
        *cases(1, 1, split="train"),
        Case(id="v", images=("x",), label="y", split="validation"),
        Case(id="w", images=("x",), label="y"),
        Case(id="t", images=("x",), label="y", split="test"),
    ]
    found = split_cases(dataset_of(pool), folds=None, fold=0, seed=0)
    assert [case.id for case in found.validation] == ["v"]
    assert [case.id for case in found.training] == ["p00_0", "p01_0", "w"]
    pooled = split_cases(dataset_of(pool), folds=2, fold=0, seed=0)
    assert len(pooled.training) == len(pooled.validation) == 2


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (
            None,
            0,
            "data: layout 'folders' declares no split into training and validation cases. "
            "Fix: ask for folds, as in data.folds=5.",
        ),
        (3, 3, "fold: 3 is none of 0 to 2. Fix: choose one of them."),
        (3, -1, "fold: -1 is none of 0 to 2. Fix: choose one of them."),
    ],
)
def test_a_split_that_is_not_there_is_refused(folds: int | None, fold: int, message: str) -> None:
    with pytest.raises(DataError) as error:
        split_cases(dataset_of(cases(*[1] * 6)), folds=folds, fold=fold, seed=0)
    assert str(error.value) == message


def test_a_data_set_without_labels_cannot_be_split() -> None:
    with pytest.raises(DataError, match="data: no case outside the test split has a label"):
        split_cases(dataset_of([Case(id="a", images=("x",))]), folds=2, fold=0, seed=0)


def test_the_real_hippocampus_set_falls_into_even_folds(real_data: Path) -> None:
    dataset = read_dataset(real_data / "Task04_Hippocampus")
    found = [split_cases(dataset, folds=5, fold=i, seed=0) for i in range(5)]
    assert sorted(len(split.validation) for split in found) == [41, 41, 42, 42, 42]
    assert len({case.id for split in found for case in split.validation}) == 208


@pytest.mark.parametrize("folds", [2, "nnunet"])
def test_one_patient_alone_is_refused_with_what_would_help(folds):
    cases = [Case(id=name, images=("x.nii",), label="y.nii", group="p") for name in ("a", "b")]
    with pytest.raises(DataError, match=r"all labelled cases are of one patient.*another patient"):
        make_folds(cases, folds=folds, seed=0)
