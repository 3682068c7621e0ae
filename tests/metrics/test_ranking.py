from itertools import pairwise
from math import nan

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from delineate.errors import DataError
from delineate.metrics import Row, Table, compare, mean_interval, rank_classes, rank_tables
from delineate.metrics.ranking import _agreement


def table(figures, metric: str = "dice") -> Table:
    """From (cases,) or (cases, classes)."""
    grid = np.asarray(figures, float).reshape(len(figures), -1)
    return Table(
        tuple(
            Row(case=f"case_{i}", label=f"class_{j}", values={metric: float(value)})
            for i, row in enumerate(grid)
            for j, value in enumerate(row)
        )
    )


def ranks(found, attribute: str) -> dict[str, float]:
    return {each.name: getattr(each, attribute) for each in found.standings}


def test_the_mean_and_the_cases_may_name_different_winners():
    # A is a little better in four of five cases, and fails in the last.
    found = rank_tables({"A": table([0.9, 0.9, 0.9, 0.9, 0.1]), "B": table([0.85] * 5)})
    assert ranks(found, "rank") == {"B": 1, "A": 2}
    assert ranks(found, "rank_by_cases") == {"A": 1, "B": 2}
    assert ranks(found, "mean_rank") == pytest.approx({"B": 1.8, "A": 1.2})
    assert [each.name for each in found.standings] == ["B", "A"]


def test_the_ranks_are_those_of_scipy():
    values = np.random.default_rng(0).integers(0, 6, (4, 20)) / 10
    found = rank_tables({str(i): table(row) for i, row in enumerate(values)})
    expected = rankdata(-values, axis=0).mean(1)
    assert ranks(found, "mean_rank") == pytest.approx(dict(zip("0123", expected, strict=True)))
    by_mean = rankdata(-values.mean(1), method="min")
    assert ranks(found, "rank") == dict(zip("0123", by_mean, strict=True))


def test_of_distances_the_lowest_is_first():
    rows = {"near": table([1, 2, 3.0], "hd95_mm"), "far": table([4, 5, 6.0], "hd95_mm")}
    assert ranks(rank_tables(rows, "hd95_mm"), "rank") == {"near": 1, "far": 2}


def test_equal_tables_share_the_first_place():
    found = rank_tables({"A": table([0.5, 0.7]), "B": table([0.7, 0.5]), "C": table([0.1, 0.2])})
    assert ranks(found, "rank") == {"A": 1, "B": 1, "C": 3}
    twins = rank_tables({"A": table([0.5, 0.7]), "B": table([0.5, 0.7])})
    assert ranks(twins, "first_share") == {"A": 1, "B": 1}
    assert ranks(twins, "mean_rank") == {"A": 1.5, "B": 1.5}
    assert twins.stability == 1


def test_what_a_table_lacks_is_ranked_last_and_left_out_of_the_means():
    found = rank_tables(
        {"A": table([[nan], [1.0]], "hd95_mm"), "B": table([[90.0], [2.0]], "hd95_mm")}, "hd95_mm"
    )
    assert ranks(found, "mean") == {"A": 1.0, "B": 2.0}
    assert ranks(found, "mean_rank") == {"A": 1.5, "B": 1.5}


def test_a_figure_that_none_has_is_not_ranked():
    found = rank_tables(
        {"A": table([[nan, 0.4], [nan, 0.6]]), "B": table([[nan, 0.5], [nan, 0.5]])}
    )
    assert ranks(found, "mean_rank") == {"A": 1.5, "B": 1.5}


def test_a_clear_order_is_stable_and_a_close_one_is_not():
    rng = np.random.default_rng(1)
    base = rng.uniform(0.6, 0.9, 30)
    clear = {name: table(base - gap) for name, gap in (("A", 0.0), ("B", 0.1), ("C", 0.2))}
    found = rank_tables(clear)
    assert (found.stability, found.stability_by_cases) == (1, 1)
    assert [(s.rank_low, s.rank_high) for s in found.standings] == [(1, 1), (2, 2), (3, 3)]
    assert ranks(found, "first_share") == {"A": 1, "B": 0, "C": 0}
    close = {name: table(rng.uniform(0.6, 0.9, 30)) for name in "ABC"}
    found = rank_tables(close)
    assert found.stability < 0.9
    assert any(s.rank_low < s.rank_high for s in found.standings)
    assert sum(ranks(found, "first_share").values()) == pytest.approx(1, abs=0.01)


def test_the_agreement_of_orders_is_kendalls_tau():
    place = np.array([1, 2, 3, 4])
    drawn = np.array([[1, 3, 2, 4], [4, 3, 1, 2], [2, 1, 4, 3]])
    expected = np.mean([kendalltau(place, order).statistic for order in drawn])
    assert _agreement(place, drawn.T) == pytest.approx(expected)


def test_all_pairs_are_tested_and_corrected_together():
    rng = np.random.default_rng(2)
    tables = {
        name: table(rng.uniform(0.5, 0.9, (15, 2)) + 0.05 * i) for i, name in enumerate("ABC")
    }
    found = rank_tables(tables)
    assert len(found.pairs) == 3
    for each in found.pairs:
        first, second = each.names
        alone = compare(tables[first], tables[second])
        assert (each.mean, each.p, each.low) == pytest.approx((alone.mean, alone.p, alone.low))
        assert each.mean >= 0
    in_order = sorted(found.pairs, key=lambda each: each.p)
    assert in_order[0].adjusted == pytest.approx(min(1, 3 * in_order[0].p))
    assert all(a.adjusted <= b.adjusted for a, b in pairwise(in_order))


def test_the_interval_of_each_mean_is_that_of_its_table():
    values = np.random.default_rng(3).uniform(0.5, 0.9, 12)
    found = rank_tables({"A": table(values), "B": table(values - 0.1)})
    best = found.standings[0]
    assert (best.low, best.high) == pytest.approx(mean_interval(values, bounds=(0, 1)))


def test_each_class_is_ranked_on_its_own():
    one = table([[0.9, 0.1], [0.8, 0.2]])
    two = table([[0.1, 0.9], [0.2, 0.8]])
    found = rank_classes({"A": one, "B": two})
    assert [each.label for each in found] == ["class_0", "class_1"]
    assert [each.standings[0].name for each in found] == ["A", "B"]


def test_scans_of_one_patient_are_ranked_as_one_case():
    owners = {"case_0": "p", "case_1": "p"}
    found = rank_tables({"A": table([0.9, 0.7, 0.6]), "B": table([0.1] * 3)}, patients=owners)
    assert found.cases == 2
    assert ranks(found, "mean")["A"] == pytest.approx(0.7)


def test_a_volume_ranks_nothing():
    tables = {name: table([1.0, 2.0], "volume_ml") for name in "AB"}
    with pytest.raises(DataError, match="'volume_ml' is neither better when higher nor when lower"):
        rank_tables(tables, "volume_ml")


def test_tables_without_a_common_figure_are_refused():
    with pytest.raises(DataError, match="no case has a value of 'dice' in every table"):
        rank_tables({"A": table([nan, 0.5]), "B": table([0.5, nan])})
    with pytest.raises(DataError, match="no case has a value of 'dice' in every table"):
        rank_classes({"A": table([nan, 0.5]), "B": table([0.5, nan])})


def test_a_class_without_a_common_figure_has_no_ranking():
    tables = {"A": table([[nan, 0.5], [0.5, 0.4]]), "B": table([[0.5, 0.1], [nan, 0.2]])}
    assert [each.label for each in rank_classes(tables)] == ["class_1"]
