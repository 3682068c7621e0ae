from math import isnan, nan

import numpy as np
import pytest
from scipy.stats import kstest, permutation_test, ttest_rel, wilcoxon

from delineate.errors import DataError
from delineate.metrics import Row, Table, bootstrap, compare, compare_classes, mean_interval


def table(metric: str = "dice", **figures: float) -> Table:
    rows = (Row(case=case, label="lesion", values={metric: v}) for case, v in figures.items())
    return Table(tuple(rows))


def classes(figures: np.ndarray) -> Table:
    """A table of dice from (cases, classes)."""
    return Table(
        tuple(
            Row(case=f"case_{i}", label=f"class_{j}", values={"dice": float(value)})
            for i, row in enumerate(figures)
            for j, value in enumerate(row)
        )
    )


@pytest.fixture
def fewer_draws(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2000)


def test_cases_are_paired_by_name_whatever_their_order():
    found = compare(table(a=0.9, b=0.5, c=0.7), table(c=0.6, b=0.5, a=0.7, d=0.1))
    assert found.cases == 3
    assert found.better == 2
    assert found.mean == pytest.approx((0.2 + 0.0 + 0.1) / 3)
    assert found.first == pytest.approx(0.7)
    assert found.second == pytest.approx(0.6)


def test_the_p_value_is_that_of_the_permutation_test_of_paired_samples():
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(0.55, 0.1, 9), rng.normal(0.5, 0.1, 9)
    names = [f"case_{i}" for i in range(9)]
    found = compare(
        table(**dict(zip(names, ours, strict=True))), table(**dict(zip(names, theirs, strict=True)))
    )
    exact = permutation_test(
        (ours, theirs), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=10_000
    )
    assert found.exact
    assert found.p == pytest.approx(exact.pvalue)
    assert found.wilcoxon == pytest.approx(wilcoxon(ours, theirs, method="exact").pvalue)


def test_the_interval_of_a_constant_difference_is_that_difference():
    found = compare(table(a=0.9, b=0.8, c=0.4), table(a=0.8, b=0.7, c=0.3))
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_a_case_without_a_value_on_one_side_is_left_out():
    found = compare(table(a=0.9, b=float("nan")), table(a=0.8, b=0.7))
    assert found.cases == 1
    assert isnan(found.p)


def test_tables_without_a_common_case_are_refused():
    with pytest.raises(DataError, match="share no case"):
        compare(table(a=1.0), table(b=1.0))


def test_tables_of_other_classes_are_refused():
    other = Table((Row(case="a", label="cord", values={"dice": 1.0}),))
    with pytest.raises(DataError, match="the classes lesion, the other cord"):
        compare(table(a=1.0), other)


def test_a_metric_that_a_table_does_not_have_is_named():
    with pytest.raises(DataError, match="no metric 'nsd' in a table that has dice"):
        compare(table(a=1.0), table(a=1.0), "nsd")


def test_better_is_lower_for_distances_and_higher_for_overlap():
    ours, theirs = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 4.0, "b": 5.0, "c": 3.0}
    distance = compare(table("hd95_mm", **ours), table("hd95_mm", **theirs), "hd95_mm")
    overlap = compare(table("score", **ours), table("score", **theirs), "score")
    assert (distance.better, distance.ties, distance.worse) == (2, 1, 0)
    assert (overlap.better, overlap.ties, overlap.worse) == (0, 1, 2)
    assert distance.mean == overlap.mean == -2
    assert (distance.winner, overlap.winner) == ("first", "second")


def test_without_a_shared_figure_nobody_wins():
    assert compare(table(a=np.nan, b=0.5), table(a=0.5, b=np.nan)).winner is None


def test_a_volume_is_only_higher_or_lower():
    found = compare(table("volume_ml", a=1, b=5), table("volume_ml", a=0, b=1), "volume_ml")
    assert found.direction == "neither"
    assert found.winner is None
    assert found.better == 2
    assert "higher in 2, equal in 0" in str(found)


def test_figures_that_differ_by_rounding_are_a_tie():
    found = compare(table(a=0.1 + 0.2, b=0.5), table(a=0.3, b=0.4))
    assert (found.better, found.ties, found.worse) == (1, 1, 0)


def test_a_class_without_a_value_in_one_table_is_left_out_of_both():
    ours = classes(np.array([[0.9, 0.1], [0.8, 0.8]]))
    theirs = classes(np.array([[0.8, nan], [0.7, 0.7]]))
    found = compare(ours, theirs)
    assert found.first == pytest.approx((0.9 + 0.8) / 2)
    assert found.mean == pytest.approx(0.1)


def test_the_effect_is_the_mean_in_standard_deviations_of_the_differences():
    ours, theirs = {"a": 0.9, "b": 0.6, "c": 0.8}, {"a": 0.7, "b": 0.5, "c": 0.5}
    found = compare(table(**ours), table(**theirs))
    t = ttest_rel(list(ours.values()), list(theirs.values())).statistic
    assert found.effect == pytest.approx(t / np.sqrt(3))
    assert isnan(compare(table(a=1, b=1), table(a=0, b=0)).effect)


def test_scans_of_one_patient_count_as_one_case():
    ours = table(a1=0.9, a2=0.7, b=0.6)
    theirs = table(a1=0.5, a2=0.6, b=0.5)
    found = compare(ours, theirs, patients={"a1": "a", "a2": "a"})
    assert found.cases == 2
    assert found.first == pytest.approx((0.8 + 0.6) / 2)
    assert (found.low, found.high) == pytest.approx(mean_interval([0.25, 0.1], bounds=(-1, 1)))


def test_each_class_has_its_own_comparison_and_all_are_corrected_together():
    rng = np.random.default_rng(0)
    ours = rng.uniform(0.5, 0.9, (12, 3))
    theirs = ours - [0.1, 0.0, 0.01] + rng.normal(0, 0.02, (12, 3))
    found = compare_classes(classes(ours), classes(theirs), names=("A", "B"))
    assert [each.label for each in found] == ["class_0", "class_1", "class_2"]
    for j, each in enumerate(found):
        alone = compare(classes(ours[:, [j]]), classes(theirs[:, [j]]))
        assert (each.mean, each.p, each.low) == pytest.approx((alone.mean, alone.p, alone.low))
        assert each.adjusted >= each.p
    assert found[0].adjusted == pytest.approx(3 * found[0].p)


def test_p_is_uniform_where_two_models_are_equal_and_small_where_one_is_better(
    fewer_draws: None,
):
    rng = np.random.default_rng(1)
    ours, theirs = rng.beta(4, 1, (2, 12, 250))
    null = [each.p for each in compare_classes(classes(ours), classes(theirs))]
    assert kstest(null, "uniform").pvalue > 0.01
    worse = classes(theirs - 0.2)
    found = [each.p for each in compare_classes(classes(ours), worse)]
    assert np.mean(np.array(null) < 0.05) < 0.1
    assert np.mean(np.array(found) < 0.05) > 0.6


def test_the_interval_of_the_difference_holds_the_true_one(fewer_draws: None):
    rng = np.random.default_rng(2)
    ours, theirs = rng.beta(4, 1, (15, 400)), rng.beta(4, 1.3, (15, 400))
    truth = 4 / 5 - 4 / 5.3
    found = compare_classes(classes(ours), classes(theirs))
    # Four standard errors of a share of 400 around 0.95.
    assert np.mean([each.low <= truth <= each.high for each in found]) > 0.906


def test_no_shared_value_at_all_is_a_comparison_of_nothing():
    found = compare(table(a=nan, b=nan), table(a=1, b=1))
    assert found.cases == 0
    assert isnan(found.mean)
    assert isnan(found.p)
