from math import isnan, nan

import numpy as np
import pytest

from delineate.metrics import Row, Table, mean_interval, size_groups, subgroups
from delineate.metrics.holm import correct
from delineate.metrics.permutation import group_p


def test_each_group_has_its_mean_and_interval_in_the_order_of_the_groups():
    rng = np.random.default_rng(0)
    figures = {f"c{i}": v for i, v in enumerate(rng.uniform(0.5, 1, 20))}
    groups = {f"c{i}": "Ulm" if i < 12 else "Bern" for i in range(20)}
    found = subgroups(figures, groups, column="site", bounds=(0, 1))
    values = np.array(list(figures.values()))
    assert [(g.name, g.cases) for g in found.groups] == [("Ulm", 12), ("Bern", 8)]
    ulm, bern = found.groups
    assert ulm.mean == pytest.approx(values[:12].mean())
    assert (bern.low, bern.high) == mean_interval(values[12:], bounds=(0, 1))
    assert found.whole.cases == 20
    assert found.whole.mean == pytest.approx(values.mean())
    assert found.p == group_p(values, np.repeat([0, 1], (12, 8)))
    assert [group.name for group in found.small] == ["Bern"]


def test_a_clear_difference_between_sites_is_found():
    rng = np.random.default_rng(1)
    values = np.concatenate((rng.normal(0.9, 0.03, 15), rng.normal(0.8, 0.05, 15)))
    figures = {str(i): v for i, v in enumerate(values)}
    found = subgroups(figures, {c: str(int(c) // 15) for c in figures}, column="site")
    assert found.p < 0.001


def test_cases_without_figure_or_group_are_left_out_and_told():
    figures = {"a": 0.5, "b": nan, "c": 0.7, "d": 0.9}
    found = subgroups(figures, {"a": "x", "b": "x", "c": "x", "other": "y"}, column="site")
    assert [(g.name, g.cases, g.mean) for g in found.groups] == [("x", 2, pytest.approx(0.6))]
    assert found.without == 1
    assert isnan(found.p)


def test_scans_of_one_patient_in_a_group_count_as_one():
    figures = {"a": 0.2, "b": 0.4, "c": 0.9, "d": 0.8}
    groups = {"a": "x", "b": "x", "c": "x", "d": "y"}
    found = subgroups(figures, groups, column="site", patients={"a": "p", "b": "p"})
    assert [(g.cases, g.mean) for g in found.groups] == [(2, pytest.approx(0.6)), (1, 0.8)]


def test_patients_in_several_groups_forbid_the_test():
    rng = np.random.default_rng(2)
    figures = {f"{p}{scan}": rng.random() for p in range(10) for scan in "ab"}
    groups = {case: case[-1] for case in figures}
    paired = subgroups(figures, groups, column="visit", patients={c: c[:-1] for c in figures})
    assert paired.straddling == 10
    assert isnan(paired.p)
    assert not isnan(subgroups(figures, groups, column="visit").p)


def test_sizes_are_thirds_of_the_cases_that_have_the_structure():
    volumes = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 0.0}
    rows = [
        Row(case=case, label=label, values={"dice": 0.5, "true_volume_ml": v})
        for case, v in volumes.items()
        for label in ("lesion",)
    ]
    found = size_groups(Table(tuple(rows)), "lesion")
    assert found == {
        "a": "small, 1 to 1 ml",
        "b": "medium, 2 to 2 ml",
        "c": "large, 3 to 3 ml",
    }
    assert size_groups(Table((Row(case="a", label="x", values={"dice": 1}),)), "x") == {}


def test_several_groupings_are_corrected_together():
    rng = np.random.default_rng(3)
    figures = {str(i): rng.random() for i in range(12)}
    found = [
        subgroups(figures, {c: str(int(c) % k) for c in figures}, column=str(k)) for k in (2, 3)
    ]
    least = min(each.p for each in found)
    assert min(each.adjusted for each in correct(found)) == pytest.approx(min(1, 2 * least))
