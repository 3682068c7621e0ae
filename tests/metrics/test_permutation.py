from itertools import product
from math import erfc, isnan, nan, sqrt

import numpy as np
import pytest
from scipy.stats import (
    PermutationMethod,
    f_oneway,
    kstest,
    permutation_test,
    rankdata,
    ttest_ind,
    ttest_rel,
    wilcoxon,
)

from delineate.metrics import permutation
from delineate.metrics.permutation import group_p, sign_flip_p, signed_ranks


def brute_force(differences: np.ndarray) -> float:
    patterns = np.array(list(product((1, -1), repeat=len(differences))))
    sums = np.abs(patterns @ differences)
    return float((sums >= abs(differences.sum()) - 1e-12).mean())


def test_few_pairs_are_counted_out():
    rng = np.random.default_rng(0)
    columns = rng.normal(0.3, 1, (9, 4))
    found = sign_flip_p(columns)
    assert found == pytest.approx([brute_force(column) for column in columns.T])
    scipys = permutation_test(
        (columns[:, 0], np.zeros(9)), lambda a, b: np.mean(a - b), permutation_type="samples"
    )
    assert found[0] == pytest.approx(scipys.pvalue)


def test_many_pairs_are_drawn_and_agree_with_the_t_test_of_normal_ones():
    columns = np.random.default_rng(1).normal([0.0, 0.15, 0.3], 1, (150, 3))
    expected = ttest_rel(columns, np.zeros_like(columns)).pvalue
    assert sign_flip_p(columns) == pytest.approx(expected, abs=0.01)
    assert sign_flip_p(columns, seed=1) == pytest.approx(expected, abs=0.01)


def test_one_sided_only_higher_means_count():
    def chance_of(gains: np.ndarray) -> float:
        return float(sign_flip_p(gains[:, None], one_sided=True)[0])

    assert chance_of(np.full(6, 0.1)) == 2**-6
    assert chance_of(np.full(6, -0.1)) == 1
    assert chance_of(np.array([0.3, 0.0, -0.1])) == 0.5
    assert chance_of(np.zeros(9)) == 1
    many = np.random.default_rng(0).normal(0.05, 0.2, 40)
    z = many.sum() / sqrt((many**2).sum())
    assert chance_of(many) == pytest.approx(erfc(z / sqrt(2)) / 2, abs=0.01)


def test_the_least_p_of_random_signs_is_one_among_the_draws():
    assert sign_flip_p(np.ones((40, 1))) == pytest.approx(1 / (permutation.DRAWS + 1))


def test_equal_pairs_and_missing_ones_change_nothing():
    column = np.array([0.3, 0.1, -0.05, 0.2])
    padded = np.array([0.3, 0.0, 0.1, nan, -0.05, 0.0, 0.2])
    assert sign_flip_p(padded[:, None]) == pytest.approx(sign_flip_p(column[:, None]))


def test_equal_figures_are_no_difference_and_one_pair_is_no_test():
    assert sign_flip_p(np.zeros((5, 1))) == 1
    assert isnan(sign_flip_p(np.array([[0.3], [nan]]))[0])
    assert isnan(sign_flip_p(np.full((3, 1), nan))[0])


def test_sums_that_differ_by_rounding_only_are_equal():
    # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0: each pattern of signs has an equal one.
    column = np.array([0.1, 0.2, -0.3])
    assert sign_flip_p(column[:, None]) == 1
    assert sign_flip_p(np.tile(column, 10)[:, None]) == 1


def test_with_signed_ranks_the_test_is_wilcoxons():
    rng = np.random.default_rng(2)
    column = rng.normal(0.4, 1, 10)
    found = sign_flip_p(signed_ranks(column[:, None]))
    assert found == pytest.approx(wilcoxon(column, method="exact").pvalue)


def test_wilcoxons_test_is_exact_with_ties_too():
    column = np.array([0.1, -0.1, 0.2, 0.2, 0.2, 0.0, 0.3, -0.1, 0.4])
    expected = wilcoxon(column[column != 0], method=PermutationMethod(n_resamples=10_000))
    assert sign_flip_p(signed_ranks(column[:, None])) == pytest.approx(expected.pvalue)


def test_equal_sizes_share_the_mean_of_their_ranks():
    column = np.array([[0.3 - 0.2], [-0.1], [0.5], [0.0], [nan]])
    expected = [1.5, -1.5, 3.0, 0.0, nan]
    np.testing.assert_array_equal(signed_ranks(column)[:, 0], expected)
    sizes = np.random.default_rng(3).integers(1, 8, 50)
    np.testing.assert_array_equal(signed_ranks(sizes[:, None])[:, 0], rankdata(sizes))


def test_p_is_uniform_where_nothing_differs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(permutation, "DRAWS", 4999)
    rng = np.random.default_rng(4)
    for cases in (14, 40):
        first, second = rng.beta(4, 1, (2, cases, 800))
        p = sign_flip_p(first - second)
        assert kstest(p, "uniform").pvalue > 0.01
        assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.025)


def test_a_real_difference_is_found_more_often_than_by_chance():
    rng = np.random.default_rng(5)
    first, second = rng.beta(4, 1, (2, 40, 300))
    power = (sign_flip_p(first + 0.12 - second) < 0.05).mean()
    assert power > 0.7


def groups(*sizes: int) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def test_two_groups_are_tested_as_by_welchs_t():
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 1, 5), rng.normal(1.2, 2, 6)
    expected = permutation_test(
        (first, second),
        lambda a, b, axis: ttest_ind(a, b, axis=axis, equal_var=False).statistic ** 2,
        alternative="greater",
        vectorized=True,
    )
    found = group_p(np.concatenate((first, second)), groups(5, 6))
    # Four standard errors of 20 000 draws.
    assert found == pytest.approx(expected.pvalue, abs=0.015)


def test_the_order_of_the_cases_does_not_matter():
    rng = np.random.default_rng(7)
    values, numbers = rng.normal(size=30), groups(8, 12, 10)
    values[numbers == 1] += 0.7
    order = rng.permutation(30)
    found = group_p(values, numbers)
    assert group_p(values[order], numbers[order]) == pytest.approx(found, abs=0.015)
    samples = [values[numbers == i] for i in range(3)]
    assert found == pytest.approx(f_oneway(*samples, equal_var=False).pvalue, abs=0.03)


def test_a_group_of_one_case_takes_no_part():
    values, numbers = np.array([0.1, 0.4, 0.2, 0.9, 0.7, 0.8]), groups(3, 3)
    with_one = np.append(values, 100.0), np.append(numbers, 2)
    assert group_p(*with_one) == group_p(values, numbers)
    assert isnan(group_p(np.array([0.1, 0.2, 0.9]), groups(2, 1)))


def test_groups_of_equal_values_do_not_differ_or_differ_clearly():
    assert group_p(np.full(6, 0.8), groups(3, 3)) == 1
    # 2 of the 70 ways to deal out two fours.
    apart = group_p(np.repeat([0.0, 1.0], 4), groups(4, 4))
    assert apart == pytest.approx(2 / 70, abs=0.006)


def test_p_is_uniform_where_groups_do_not_differ(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(permutation, "DRAWS", 999)
    rng = np.random.default_rng(8)
    numbers = groups(4, 9, 15)
    p = [group_p(rng.beta(4, 1, 28), numbers, seed=i) for i in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_unequal_spread_alone_is_seldom_taken_for_a_difference(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(permutation, "DRAWS", 499)
    rng = np.random.default_rng(9)
    numbers, spread = groups(10, 40), np.repeat([3.0, 1.0], (10, 40))
    p = [group_p(rng.normal(0, spread), numbers, seed=i) for i in range(400)]
    # The statistic of equal spreads finds a difference in about a quarter of these.
    assert np.mean(np.array(p) < 0.05) < 0.1
