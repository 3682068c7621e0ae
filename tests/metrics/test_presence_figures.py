import math

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.labels import Labels
from delineate.metrics import (
    Measures,
    Row,
    Table,
    area_under_curve,
    judge_presence,
    score_masks,
)

LABELS = Labels.from_names({"liver": 1, "tumour": 2})
RNG = np.random.default_rng(8)


def table_of(sizes):
    """A table of one class: predicted and true voxels case by case."""
    rows = []
    for i, (predicted, true) in enumerate(sizes):
        prediction, truth = np.zeros((2, 4, 4), np.uint8)
        prediction.ravel()[:predicted] = truth.ravel()[:true] = 2
        measures = Measures(groups=("presence",))
        rows += score_masks(prediction, truth, LABELS, (1.0, 1.0), case=f"c{i}", measures=measures)[
            1:
        ]
    return Table(tuple(rows))


def test_presence_is_judged_over_the_cases():
    found = judge_presence(table_of([(3, 2), (0, 4), (1, 0), (0, 0)]))["tumour"]
    assert (found.cases, found.present) == (4, 2)
    assert (found.accuracy, found.sensitivity, found.specificity) == (0.5, 0.5, 0.5)
    # 3 and 0 voxels against 1 and 0: wins 2, a tie, a loss.
    assert found.auc == pytest.approx(2.5 / 4)


def test_scores_are_taken_where_given():
    table = table_of([(3, 2), (0, 4), (1, 0), (0, 0)])
    scores = Table(
        tuple(
            Row(case=f"c{i}", label="tumour", values={"score": s})
            for i, s in enumerate((0.9, 0.8, 0.2, 0.1))
        )
    )
    assert judge_presence(table, scores)["tumour"].auc == 1
    with pytest.raises(DataError, match="presence: no score for tumour in c3"):
        judge_presence(table, Table(scores.rows[:3]))
    with pytest.raises(DataError, match="the table of scores has no column score"):
        judge_presence(table, table)


def test_the_area_equals_the_share_of_pairs_in_order():
    scores = RNG.integers(0, 6, 40).astype(float)
    there = RNG.integers(0, 2, 40) > 0
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[there] for b in scores[~there]]
    assert area_under_curve(scores, there) == pytest.approx(np.mean(pairs))


def test_cases_of_one_kind_have_no_curve():
    assert math.isnan(area_under_curve([0.1, 0.2], np.array([True, True])))
    found = judge_presence(table_of([(1, 1), (2, 2)]))["tumour"]
    assert found.accuracy == found.sensitivity == 1
    assert math.isnan(found.specificity)


def test_a_table_without_presence_is_refused():
    table = Table((Row(case="a", label="b", values={"dice": 1.0}),))
    with pytest.raises(DataError, match=r"no column present_voxels. Fix: evaluate with presence"):
        judge_presence(table)
