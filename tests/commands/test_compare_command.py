import json

import numpy as np
import pytest
from terminal import delineate

from delineate.metrics import Row, Table, write_table


@pytest.fixture
def runs(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.8, 12)
    for name, gap in (("a", 0.1), ("b", 0.0), ("c", 0.05)):
        rows = [
            Row(case=f"case_{i}", label="lesion", values={"dice": float(v + gap)})
            for i, v in enumerate(base + rng.normal(0, 0.01, 12))
        ]
        write_table(Table(tuple(rows)), tmp_path / name / "table.csv")
    lines = ["case,site", *(f"case_{i},{'Ulm' if i % 2 else 'Bern'}" for i in range(12))]
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    return tmp_path


def test_two_runs_are_compared_and_every_figure_written(runs):
    done = delineate("compare", runs / "a", runs / "b", "--json", runs / "out.json")
    assert done.code == 0, done.err
    assert "a is better in 12, equal in 0, worse in 0 of 12" in done.out
    found = json.loads((runs / "out.json").read_text())
    assert found["names"] == ["a", "b"]
    assert found["whole"]["mean"] == pytest.approx(0.1, abs=0.02)


def test_three_runs_are_ranked(runs):
    done = delineate("compare", *(runs / name for name in "abc"), "--by", "class")
    assert done.code == 0, done.err
    assert "by cases" in done.out


def test_one_run_is_looked_at_in_groups(runs):
    done = delineate("compare", runs / "a", "--groups", runs / "cases.csv")
    assert done.code == 0, done.err
    assert "a by site" in done.out
    assert "Do the groups differ? p = " in done.out


def test_one_run_without_groups_is_a_mistake_told_in_one_message(runs):
    done = delineate("compare", runs / "a")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("compare: a single table is compared in subgroups")


def test_scans_of_one_patient_in_a_run_count_as_one(runs):
    cases = [{"id": f"case_{i}", "group": f"p{i // 2}"} for i in range(12)]
    (runs / "a" / "cases.json").write_text(json.dumps({"training": [], "validation": cases}))
    done = delineate("compare", runs / "a", runs / "b")
    assert "12 cases of 6 patients" in done.out
